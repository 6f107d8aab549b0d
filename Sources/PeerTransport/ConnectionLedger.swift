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

    /// A connection that gives way to another, and the limit that it gives way for.
    struct Displaced {
        let channel: any Channel
        let limit: Refusal
    }

    private struct Entry {
        let source: SourceNetwork
        let channel: any Channel
        let since: NIODeadline
        var isHandshaking = true
        /// In the handshake, or joining: it has proven nothing.
        var isUnproven = true
    }

    private struct Share {
        var connections = 0
        var unproven = 0
    }

    /// Who has proven nothing for so long may be displaced: a handshake is two round trips.
    private static let patience = TimeAmount.seconds(1)
    /// And so may whoever is from where more than these come at once.
    private static let modestShare = 4

    private let limits: TransportLimits
    private var entries: [ObjectIdentifier: Entry] = [:]
    private var shares: [SourceNetwork: Share] = [:]
    private var unproven = 0
    /// Told to close, and not gone yet.
    private var leaving: Set<ObjectIdentifier> = []
    private(set) var refused: UInt64 = 0
    private(set) var isClosed = false

    init(limits: TransportLimits) { self.limits = limits }

    var connections: Int { entries.count }

    /// - Returns: a connection that gives way, for the caller to close: those that stall keep nobody out.
    mutating func admit(
        _ channel: any Channel, from source: SourceNetwork, at now: NIODeadline = .now()
    ) throws(Refusal) -> Displaced? {
        var displaced: Displaced?
        do {
            displaced = try check(shares[source, default: Share()], at: now)
        } catch {
            refused += 1
            throw error
        }
        if let channel = displaced?.channel {
            remove(ObjectIdentifier(channel))
            leaving.insert(ObjectIdentifier(channel))
        }
        entries[ObjectIdentifier(channel)] = Entry(source: source, channel: channel, since: now)
        shares[source, default: Share()].connections += 1
        shares[source, default: Share()].unproven += 1
        unproven += 1
        return displaced
    }

    private func check(_ share: Share, at now: NIODeadline) throws(Refusal) -> Displaced? {
        guard !isClosed else { throw .closed }
        guard share.connections < limits.connectionsPerAddress else { throw .connectionsPerAddress }
        guard share.unproven < limits.handshakesPerAddress else { throw .handshakesPerAddress }
        let isFull = entries.count >= limits.connections
        guard isFull || unproven >= limits.handshakesAtOnce else { return nil }
        let limit = isFull ? Refusal.connections : .handshakes
        guard let displaced = displaceable(at: now) else { throw limit }
        return Displaced(channel: displaced, limit: limit)
    }

    /// Of those that have proven nothing the one from where most come; of as many the oldest.
    private func displaceable(at now: NIODeadline) -> (any Channel)? {
        entries.lazy.filter { _, entry in
            entry.isUnproven
                && (entry.since + Self.patience <= now || shares[entry.source]?.unproven ?? 0 > Self.modestShare)
        }.max { one, other in
            let shares = (shares[one.value.source]?.unproven ?? 0, shares[other.value.source]?.unproven ?? 0)
            return shares.0 != shares.1 ? shares.0 < shares.1 : one.value.since > other.value.since
        }?.value.channel
    }

    /// The handshake is over, well or badly.
    mutating func endHandshake(_ channel: ObjectIdentifier) { entries[channel]?.isHandshaking = false }

    /// The peer has proven who it is.
    mutating func prove(_ channel: ObjectIdentifier) {
        guard let entry = entries[channel], entry.isUnproven else { return }
        entries[channel]?.isUnproven = false
        shares[entry.source]?.unproven -= 1
        unproven -= 1
    }

    /// Whether a connection that is not gone yet has given way.
    func isLeaving(_ channel: ObjectIdentifier) -> Bool { leaving.contains(channel) }

    /// The connection is gone.
    mutating func remove(_ channel: ObjectIdentifier) {
        leaving.remove(channel)
        prove(channel)
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

extension ConnectionLedger.Displaced {
    func error(limits: TransportLimits) -> TransportError {
        TransportError(
            .tooMany,
            "the connection of \(ChannelSetup.text(channel.remoteAddress)), which has not shown who it is, gives way to another: \(limit.cause(limits)), which is the limit"
        )
    }
}

extension ConnectionLedger.Refusal {
    func error(for remote: String, limits: TransportLimits) -> TransportError {
        if self == .closed {
            return TransportError(.shuttingDown, "the connection of \(remote) is not taken: this node is shutting down")
        }
        return TransportError(
            .tooMany,
            "the connection of \(remote) is not taken: \(cause(limits)), which is the limit; it may try again later")
    }

    fileprivate func cause(_ limits: TransportLimits) -> String {
        switch self {
        case .closed: "this node is shutting down"
        case .connections: "\(limits.connections) connections are open"
        case .connectionsPerAddress: "\(limits.connectionsPerAddress) connections from its address are open"
        case .handshakes: "\(limits.handshakesAtOnce) connections have not shown yet who they are"
        case .handshakesPerAddress:
            "\(limits.handshakesPerAddress) connections from its address have not shown yet who they are"
        }
    }
}
