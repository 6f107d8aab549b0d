// The record of a run: one line an event, digested as it grows.
//
// Invariant: equal runs give equal lines, and so equal digests; nothing of the machine that simulates stands in a line.

internal import ReplicationModel
internal import Trust

final class Trace {
    private var digest = SHA256.Incremental()
    private let show: ((String) -> Void)?

    /// - Parameter show: given each line, where someone wants to read them.
    init(show: ((String) -> Void)?) { self.show = show }

    func note(_ line: String) {
        digest.update(Array(line.utf8))
        digest.update([UInt8(ascii: "\n")])
        show?(line)
    }

    /// What helps a reader and decides nothing: it is not digested, and made only where it is shown.
    func detail(_ line: @autoclosure () throws -> String) rethrows {
        if let show { show("    " + (try line())) }
    }

    /// Goes on with bytes that would be no line: frames, contents.
    func note(bytes: [UInt8]) { digest.update(bytes) }

    /// The digest of everything. Nothing is noted afterwards.
    func finish() -> Digest {
        var last = SHA256.Incremental()
        swap(&last, &digest)
        return last.finalize()
    }
}

/// Something that the design rules out happened.
public struct SimulationViolation: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
