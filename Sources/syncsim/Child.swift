// Another process: this program, run again, or one beside it.
//
// Invariant: it is run to its end, and how it ended is known then.

internal import Foundation

final class Child {
    /// This program.
    static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()

    private let process = Process()
    /// How it ended.
    private(set) var ending = ""

    init(_ arguments: [String], of program: URL = Child.program) {
        process.executableURL = program
        process.arguments = arguments
    }

    /// Runs it to its end, a line of its output at a time.
    func run(_ line: (String) -> Void) {
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            ending = "it could not be started: \(error)"
            return
        }
        var rest: [UInt8] = []
        while true {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { break }
            rest += data
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                line(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeFirst(end + 1)
            }
        }
        process.waitUntilExit()
        ending = "\(process.terminationReason == .exit ? "exit" : "signal") \(process.terminationStatus)"
    }
}
