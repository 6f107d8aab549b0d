// Failures of connections in the log: each cause of each address once a minute, however often it comes.

internal import Logging
internal import PeerTransport
internal import ReplicationCore
internal import Synchronization

final class FailureLog: Sendable {
    private struct State {
        var lastByCause: [String: Uptime] = [:]
        var suppressed = 0
    }

    private static let quietMilliseconds: Int64 = 60_000
    /// Strangers choose the addresses: beyond this many the memory is emptied.
    private static let rememberedCauses = 1_024
    private let state = Mutex(State())

    func note(_ address: String, _ error: any Error, _ logger: Logger) {
        let code = (error as? TransportError)?.code.description ?? "failure"
        let host = address.split(separator: ":").dropLast().joined(separator: ":")
        let key = "\(host) \(code)"
        let now = Monotonic.now
        let suppressed: Int? = state.withLock { state in
            if let last = state.lastByCause[key], now < last.advanced(byMilliseconds: Self.quietMilliseconds) {
                state.suppressed += 1
                return nil
            }
            if state.lastByCause.count >= Self.rememberedCauses { state.lastByCause = [:] }
            state.lastByCause[key] = now
            defer { state.suppressed = 0 }
            return state.suppressed
        }
        guard let suppressed else { return }
        logger.warning(
            "no session", metadata: ["address": "\(address)", "cause": "\(error)", "suppressed": "\(suppressed)"])
    }
}
