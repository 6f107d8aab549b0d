// Who is connected, so that no peer, and no crowd of peers, takes more than its share.
//
// Invariant: every connection admitted is counted until it is gone, once.
internal import NIOCore

/// Counts a listener's connections: a value, kept under a lock.
struct ConnectionLedger {
    /// Why a connection was not admitted.
    enum Refusal: Error, Hashable {
        case closed
        case connections, connectionsPerAddress, handshakes, handshakesPerAddress
    }

    private struct Entry {
        let source: SourceNetwork
        let channel: any Channel
        var isHandshaking = true
    }

    private struct Share {
        var connections = 0
        var handshakes = 0
    }

    private let limits: TransportLimits
    private var entries: [ObjectIdentifier: Entry] = [:]
    private var shares: [SourceNetwork: Share] = [:]
    private var handshakes = 0
    private(set) var refused: UInt64 = 0
    private(set) var isClosed = false

    init(limits: TransportLimits) { self.limits = limits }

    var connections: Int { entries.count }

    mutating func admit(_ channel: any Channel, from source: SourceNetwork) throws(Refusal) {
        do {
            try check(shares[source, default: Share()])
        } catch {
            refused += 1
            throw error
        }
        entries[ObjectIdentifier(channel)] = Entry(source: source, channel: channel)
        shares[source, default: Share()].connections += 1
        shares[source, default: Share()].handshakes += 1
        handshakes += 1
    }

    private func check(_ share: Share) throws(Refusal) {
        guard !isClosed else { throw .closed }
        guard entries.count < limits.connections else { throw .connections }
        guard share.connections < limits.connectionsPerAddress else { throw .connectionsPerAddress }
        guard handshakes < limits.handshakesAtOnce else { throw .handshakes }
        guard share.handshakes < limits.handshakesPerAddress else { throw .handshakesPerAddress }
    }

    /// The handshake is over, well or badly.
    mutating func endHandshake(_ channel: ObjectIdentifier) {
        guard let entry = entries[channel], entry.isHandshaking else { return }
        entries[channel]?.isHandshaking = false
        shares[entry.source]?.handshakes -= 1
        handshakes -= 1
    }

    /// The connection is gone.
    mutating func remove(_ channel: ObjectIdentifier) {
        endHandshake(channel)
        guard let entry = entries.removeValue(forKey: channel) else { return }
        shares[entry.source]?.connections -= 1
        if shares[entry.source]?.connections == 0 { shares[entry.source] = nil }
    }

    /// Admits nothing any more.
    /// - Returns: the connections still in the handshake, for the caller to close.
    mutating func close() -> [any Channel] {
        isClosed = true
        return entries.values.filter(\.isHandshaking).map(\.channel)
    }
}

extension ConnectionLedger.Refusal {
    func error(for remote: String, limits: TransportLimits) -> TransportError {
        let why: String
        switch self {
        case .closed:
            return TransportError(.shuttingDown, "the connection of \(remote) is not taken: this node is shutting down")
        case .connections: why = "\(limits.connections) connections are open"
        case .connectionsPerAddress: why = "\(limits.connectionsPerAddress) connections from its address are open"
        case .handshakes: why = "\(limits.handshakesAtOnce) connections are in the handshake"
        case .handshakesPerAddress:
            why = "\(limits.handshakesPerAddress) connections from its address are in the handshake"
        }
        return TransportError(
            .tooMany, "the connection of \(remote) is not taken: \(why), which is the limit; it may try again later")
    }
}
