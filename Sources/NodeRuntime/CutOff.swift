// What is cut off here, and what that means for whoever looks at it: whose it is, who built on it, how it comes back.
//
// Invariant: it is read from what is held and from the roster; nothing here decides what counts.

internal import Foundation
internal import ReplicaStore
public import ReplicationModel
public import Trust

/// One origin of which something is set aside here, because it comes after the cut.
public struct CutOff: Sendable, Hashable {
    public let origin: Origin
    public let cause: Cut.Cause
    /// The last sequence that counts.
    public let lastAccepted: SequenceNumber
    /// The last that is set aside here.
    public let last: SequenceNumber
    /// How many of its own are set aside.
    public let changeSets: UInt64
    /// By node, how many that build on them.
    public let dependents: [NodeID: UInt64]
    /// When its node was revoked, by the authority's clock, and why; nil where it forked.
    public let revoked: Revoked?

    public struct Revoked: Sendable, Hashable {
        public let at: WallClock
        /// As its admin typed it; may be empty.
        public let reason: String
    }
}

extension Node {
    /// Origins of which something is cut off here, by origin.
    public func cutOff() throws -> [CutOff] {
        let runs = try replica.heldRuns().filter(\.isCutOff)
        guard !runs.isEmpty else { return [] }
        let cuts = try replica.cuts()
        let roster = try refreshRoster()
        let beyond = Dictionary(grouping: runs.filter { $0.root == nil }, by: \.origin)
        let building = Dictionary(grouping: runs.compactMap { run in run.root.map { (run, $0.dot.origin) } }) { $0.1 }
        return Set(beyond.keys).union(building.keys).sorted().compactMap { origin in
            guard let cut = cuts[origin] else { return nil }
            let own = beyond[origin] ?? []
            let dependents = (building[origin] ?? []).map(\.0)
            return CutOff(
                origin: origin, cause: cut.cause, lastAccepted: cut.lastAccepted,
                last: own.map(\.last).max() ?? cut.lastAccepted, changeSets: own.reduce(0) { $0 + $1.count },
                dependents: Dictionary(dependents.map { ($0.origin.node, $0.count) }, uniquingKeysWith: +),
                revoked: cut.cause == .revoked ? roster.member(origin.node)?.revoked : nil)
        }
    }

    /// What is cut off, in one sentence.
    public func sentence(_ cutOff: CutOff) -> String {
        let name = "“\(name(of: cutOff.origin.node))”"
        var text =
            switch cutOff.cause {
            case .revoked:
                "\(name) was revoked\(cutOff.revoked.map { " \(rfc3339($0.at))" } ?? "")\(cutOff.revoked.map { $0.reason.isEmpty ? "" : " (\($0.reason))" } ?? "")"
            case .forked: "\(name) forked"
            }
        text += ", and counts up to \(cutOff.lastAccepted) of \(cutOff.origin)"
        var aside = cutOff.dependents.sorted { $0.key < $1.key }.map {
            "\($0.value.of("change set")) of “\(self.name(of: $0.key))” that built on what came after"
        }
        if cutOff.changeSets > 0 { aside.insert("\(cutOff.changeSets.of("change set")) of its own after that", at: 0) }
        return text + (aside.isEmpty ? "." : ". Set aside here: \(aside.joined(separator: ", and ")).")
    }

    /// What may be done about it.
    public func advice(_ cutOff: CutOff) -> String {
        var text = ""
        if cutOff.changeSets > 0 {
            text =
                "Nothing of it is lost: `syncnode held show \(Dot(origin: cutOff.origin, sequence: cutOff.lastAccepted.next))` shows the first. "
        }
        if !cutOff.dependents.isEmpty {
            text += "Who built on it writes their own part again, as soon as they learn of it. "
        }
        switch cutOff.cause {
        case .revoked where cutOff.changeSets > 0:
            text +=
                "If it should count after all: `syncnode revoke \(commandName(of: cutOff.origin.node)) --accept \(cutOff.origin):\(cutOff.last)` where the authority's key is; others follow when they sync."
        case .revoked: break
        case .forked: text += "`syncnode forks` has the proof."
        }
        return text.trimmingCharacters(in: .whitespaces)
    }

    /// What a command takes for the node: its name, where a shell reads that as one word and it means no other node.
    public func commandName(of node: NodeID) -> String {
        let name = name(of: node)
        let isMeant = (try? member(named: name))?.node == node
        let isWord = name.unicodeScalars.allSatisfy {
            $0.properties.isAlphabetic || ("0"..."9").contains($0) || "-._".unicodeScalars.contains($0)
        }
        return isMeant && isWord && !name.hasPrefix("-") ? name : String("\(node)".prefix(12))
    }
}

extension RosterMember {
    /// When it was first revoked, and the last reason that was given.
    public var revoked: CutOff.Revoked? {
        let revocations = revocations.sorted { $0.time < $1.time }
        guard let first = revocations.first else { return nil }
        return CutOff.Revoked(at: first.time, reason: revocations.last { !$0.reason.isEmpty }?.reason ?? "")
    }
}
