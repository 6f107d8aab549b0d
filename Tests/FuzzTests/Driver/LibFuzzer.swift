// What libFuzzer calls. Built only by `Deploy/fuzz`, with `-sanitize=fuzzer`, which brings `main`.
//
// Invariant: the first argument names the target, and libFuzzer sees the rest.
import Foundation

nonisolated(unsafe) private var target = FuzzTarget.frame

@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> CInt {
    let words = (1..<max(Int(count.pointee), 1)).compactMap { index in
        arguments.pointee[index].map { String(cString: $0) }
    }
    if words.first == "--list" {
        for target in FuzzTarget.all { print(target.name, target.maximumBytes) }
        exit(0)
    }
    guard let named = FuzzTarget.all.first(where: { $0.name == words.first }) else {
        fail("no target \(words.first ?? ""); there are \(FuzzTarget.all.map(\.name).joined(separator: ", "))")
    }
    target = named
    if words.count == 3, words[1] == "--seeds" { writeSeeds(to: words[2]) }
    for index in 1..<Int(count.pointee) { arguments.pointee[index] = arguments.pointee[index + 1] }
    count.pointee -= 1
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do {
        try target.run(Array(UnsafeBufferPointer(start: data, count: count)))
    } catch {
        fatalError("\(target.name): \(error)")
    }
    return 0
}

private func writeSeeds(to directory: String) -> Never {
    do {
        for (index, seed) in try target.seeds().enumerated() {
            try Data(seed).write(to: URL(filePath: directory).appending(path: "seed-\(index)"))
        }
    } catch {
        fail("cannot write the seeds of \(target.name) to \(directory): \(error)")
    }
    exit(0)
}

private func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("\(message)\n".utf8))
    exit(64)
}
