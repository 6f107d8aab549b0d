// How a register takes in a write: who wins, and which writes are lost.
//
// Invariant: for equal sets of writes, delivered in any order that respects causality, the register and its lost writes
// come out equal. Only what is known here can have been seen by what arrives: nothing known has seen the newcomer.

/// A write that lost to a concurrent, greater one.
public struct LostWrite: Hashable, Sendable {
    public let version: Version
    /// The greater, concurrent writes that it lost to; never empty.
    public var witnesses: [Version]
    /// Whether a later write had seen this one: what it wrote next is then what may be lost, and newcomers no longer
    /// count as witnesses against this one.
    public var hasSuccessor: Bool

    public init(version: Version, witnesses: [Version], hasSuccessor: Bool) {
        self.version = version
        self.witnesses = witnesses
        self.hasSuccessor = hasSuccessor
    }
}

/// What one write does to one register.
public struct MergeOutcome: Hashable, Sendable {
    /// The newcomer is now the register's value.
    public var wins: Bool
    /// The write that this merge made a lost one: the newcomer itself, or the value it overwrote.
    public var newlyLost: LostWrite?
    /// Lost writes whose entries changed.
    public var changed: [LostWrite]
    /// Lost writes that are lost no longer: their authors went on before they met what was greater.
    public var recovered: [Version]
}

/// Last writer wins, with the losers kept.
public enum MergeRule {
    /// - Parameters:
    ///   - new: the newcomer, applied for the first time.
    ///   - current: the register's version; nil where it was never written.
    ///   - lost: the lost writes of this register.
    ///   - known: every write of this register known before; asked for only when the newcomer is in conflict.
    ///   - saw: whether the author of the first had seen the second when it wrote.
    public static func merge<Failure: Error>(
        _ new: Version, into current: Version?, lost: [LostWrite], known: () throws(Failure) -> [Version],
        saw: (Version, Version) throws(Failure) -> Bool
    ) throws(Failure) -> MergeOutcome {
        var outcome = MergeOutcome(wins: true, newlyLost: nil, changed: [], recovered: [])
        for entry in lost {
            var entry = entry
            let before = entry
            if try saw(new, entry.version) {
                // The lost branch went on; it stays lost only to what that step had seen.
                var witnesses: [Version] = []
                for witness in entry.witnesses where try saw(new, witness) { witnesses.append(witness) }
                entry.witnesses = witnesses
                entry.hasSuccessor = true
            } else if entry.version < new, !entry.hasSuccessor {
                entry.witnesses.append(new)
            }
            if entry.witnesses.isEmpty {
                outcome.recovered.append(entry.version)
            } else if entry != before {
                outcome.changed.append(entry)
            }
        }
        guard let current else { return outcome }
        if current < new {
            if try !saw(new, current) {
                var witnesses = [new]
                for other in try known() where current < other {
                    if try !saw(other, current), try !saw(current, other) { witnesses.append(other) }
                }
                outcome.newlyLost = LostWrite(version: current, witnesses: witnesses, hasSuccessor: false)
            }
        } else {
            var witnesses: [Version] = []
            for other in try known() where new < other {
                if try !saw(new, other) { witnesses.append(other) }
            }
            outcome.wins = false
            outcome.newlyLost = LostWrite(version: new, witnesses: witnesses, hasSuccessor: false)
        }
        return outcome
    }
}
