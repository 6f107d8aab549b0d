// Failures of connections in the log: each cause of each network once a minute, however often it comes.
//
// Invariant: whatever strangers do, they write no more than `linesRemembered` lines a minute.

internal import Logging
internal import PeerTransport
internal import ReplicationCore
internal import Synchronization
internal import Trust

final class FailureLog: Sendable {
    private struct Line: Hashable {
        /// A stranger has many addresses in one network; of a name that this node dials there is the name.
        let network: SourceNetwork?
        let host: String
        let cause: String
    }

    private struct State {
        var written: [Line: Uptime] = [:]
        var suppressed = 0
    }

    private static let quietMilliseconds: Int64 = 60_000
    private static let linesRemembered = 1_024
    private let state = Mutex(State())

    /// - Parameters:
    ///   - what: did not happen, as the log begins with it.
    ///   - address: HOST:PORT.
    func note(_ what: String, _ address: String, _ error: any Error, _ logger: Logger) {
        let network = SourceNetwork(of: address)
        let host = network == nil ? address.split(separator: ":").dropLast().joined(separator: ":") : ""
        let line = Line(network: network, host: host, cause: "\(what) \(Self.code(of: error))")
        guard let suppressed = suppressed(before: line) else { return }
        logger.warning(
            "\(what)", metadata: ["address": "\(address)", "cause": "\(error)", "suppressed": "\(suppressed)"])
    }

    /// How many were left out since the last line, where this one is to be written.
    private func suppressed(before line: Line) -> Int? {
        let now = Monotonic.now
        return state.withLock { state in
            if state.written.count >= Self.linesRemembered {
                state.written = state.written.filter { now < $0.value.advanced(byMilliseconds: Self.quietMilliseconds) }
            }
            if let last = state.written[line], now < last.advanced(byMilliseconds: Self.quietMilliseconds) {
                state.suppressed += 1
                return nil
            }
            guard state.written.count < Self.linesRemembered else {
                state.suppressed += 1
                return nil
            }
            state.written[line] = now
            defer { state.suppressed = 0 }
            return state.suppressed
        }
    }

    private static func code(of error: any Error) -> String {
        switch error {
        case let error as TransportError: error.code.description
        case let error as TrustError: error.code.description
        default: "failure"
        }
    }
}
