// What cuts did to a replica, against what they may do: the vector shrinks to what counts and no further, nothing that does
// not count is left, and what a node's own programs wrote is written again.
//
// Invariant: what counts is told from the contexts of the change sets as they were sealed, and from the cuts alone.

internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    /// Reads which cuts a node knows of.
    ///
    /// - Returns: how often it was rewound since it was looked at last, and whether it knows of other cuts.
    func noteCuts(_ node: SimulatedNode, _ replica: Replica) throws -> (rewinds: Int, areNew: Bool) {
        guard !issued.isEmpty || !twins.isEmpty else { return (0, false) }
        let mark = try replica.rosterMark()
        let former = node.witness.cuts
        if mark != node.witness.rosterMark {
            node.witness.rosterMark = mark
            node.witness.cuts = try cuts(of: node, replica)
        }
        let rewinds = Int(try replica.rewinds())
        defer { node.witness.rewinds = rewinds }
        return (rewinds - node.witness.rewinds, node.witness.cuts != former)
    }

    private func cuts(of node: SimulatedNode, _ replica: Replica) throws -> KnownCuts {
        var cuts = KnownCuts()
        for record in try replica.rosterRecords() where record.starts(with: Revocation.magic) {
            guard let revocation = issued[SHA256.digest(record)] else {
                throw SimulationViolation("\(node.name) believes a revocation that nobody issued")
            }
            cuts.add(revocation)
        }
        for fork in try replica.forks().map(\.proof.fork) {
            guard library[fork].count > 1 else {
                throw SimulationViolation("\(node.name) believes that \(fork) is a fork, and it has one content")
            }
            cuts.add(fork: fork)
        }
        return cuts
    }

    /// A change set as a node has it, or had it: which of its contents, where its origin forked.
    func entry(_ dot: Dot, at node: SimulatedNode) -> Library.Entry? {
        let contents = library[dot]
        guard contents.count > 1 else { return contents.first }
        return contents.first { $0.digest == node.witness.contents[dot] }
    }

    /// Notes which contents a node took under names that may have two.
    func noteContents(_ node: SimulatedNode, _ replica: Replica, _ applied: VersionVector) throws {
        for (origin, common) in twins {
            let known = max(node.witness.seen[origin], common).rawValue
            for sequence in known..<max(known, applied[origin].rawValue) {
                let dot = Dot(origin: origin, sequence: SequenceNumber(sequence + 1))
                node.witness.contents[dot] = try replica.signedChangeSet(dot).map { SHA256.digest($0.body) }
            }
        }
    }

    /// The part of a vector that counts for a node: nothing beyond a cut, and nothing that had seen what is.
    func counting(_ vector: VersionVector, at node: SimulatedNode) -> VersionVector {
        guard !node.witness.cuts.isEmpty else { return vector }
        var left = vector
        for (origin, sequence) in vector.entries {
            left[origin] = node.witness.cuts.last(of: origin, upTo: sequence, at: node.id)
        }
        var before: VersionVector
        repeat {
            before = left
            for (origin, sequence) in before.entries {
                // Contexts grow along an origin.
                var last = sequence
                while last > .zero, let entry = entry(Dot(origin: origin, sequence: last), at: node),
                    !left.covers(entry.context)
                { last = last.previous }
                left[origin] = last
            }
        } while left != before
        return left
    }

    /// Checks a replica that was rewound, and notes what its programs are owed.
    func checkRewind(
        _ node: SimulatedNode, _ sealed: [Library.Entry], _ applied: VersionVector, rewinds: Int
    ) throws {
        var old = node.witness.seen
        for entry in sealed { old.formUnion(VersionVector([entry.dot.origin: entry.dot.sequence])) }
        let kept = counting(old, at: node)
        guard applied.covers(kept) else {
            throw SimulationViolation(
                "\(node.name) was rewound from \(describe(old)) to \(describe(applied)), and \(describe(kept)) counts")
        }
        tallies.count("rewinds")
        trace.note(
            "\(node.name) is rewound from \(describe(old)) to \(describe(applied)), where \(describe(kept)) counts")
        node.witness.told = counting(node.witness.told, at: node)
        // What is written again does not count among what was there.
        var former = node.witness.seen
        for entry in sealed where !applied.contains(entry.dot) || Self.states(entry, node.witness.seen) {
            former.formUnion(VersionVector([entry.dot.origin: entry.dot.sequence]))
        }
        let again = sealed.count { applied.contains($0.dot) && !Self.states($0, node.witness.seen) }
        owe(node, former, applied, sealedBefore: node.witness.sealed.count - again, inTurn: rewinds > 1)
        forgetDebts(node, applied)
        for (register, write) in node.witness.owed.sorted(by: { $0.key < $1.key }) {
            trace.detail("owed: \(register.description), \(describe(write))")
        }
    }

    func describe(_ write: SetAside) -> String {
        let content = write.alive.map { $0 ? "alive" : "deleted" } ?? Self.describe(write.cells)
        return "\(content) of \(describe(VersionVector([write.dot.origin: write.dot.sequence]))) at \(write.stamp)"
    }

    /// A node's own work that is gone, where nothing that counts was written over it: as if all cuts had come at once.
    ///
    /// - Parameter sealedBefore: how much it had sealed before the cuts.
    func owe(
        _ node: SimulatedNode, _ old: VersionVector, _ applied: VersionVector, sealedBefore: Int, inTurn: Bool
    ) {
        var writes: [Register: [(write: SetAside, isVoid: Bool, isOrphan: Bool, isOwnAndGone: Bool)]] = [:]
        var former: [Digest: Library.Entry] = [:]
        /// Of these, what was there until now.
        var present: Set<Digest> = []
        let earlier = node.witness.takenBack
        for (digest, taken) in earlier { former[digest] = library[taken.dot].first { $0.digest == digest } }
        for (origin, last) in old.sorted {
            for sequence in 1...last.rawValue {
                if let entry = entry(Dot(origin: origin, sequence: SequenceNumber(sequence)), at: node) {
                    former[entry.digest] = entry
                    present.insert(entry.digest)
                }
            }
        }
        node.witness.takenBack = [:]
        for entry in former.values.sorted(by: { $0.digest.description < $1.digest.description }) {
            let dot = entry.dot
            let isOwn = dot.origin.node == node.id
            let counts = applied.contains(dot) && self.entry(dot, at: node)?.digest == entry.digest
            if !counts { node.witness.takenBack[entry.digest] = earlier[entry.digest] ?? (dot, sealedBefore) }
            let isVoid = !isOwn && node.witness.cuts.exclude(dot, at: node.id)
            // Its author is out, and does not write it again.
            let isOrphan = !isOwn && !counts && node.witness.cuts.isRevoked(dot.origin.node)
            for table in entry.changeSet.tables {
                table.forEachWrite { register, row, cells in
                    let alive = register.field == Register.existence ? row.kind != .delete : nil
                    let write = SetAside(
                        stamp: row.stamp, dot: dot, digest: entry.digest, cells: cells, alive: alive)
                    writes[register, default: []].append((write, isVoid, isOrphan, isOwn && !counts))
                }
            }
        }
        func isLess(_ one: SetAside, _ other: SetAside) -> Bool {
            one.stamp != other.stamp ? one.stamp < other.stamp : one.dot.origin < other.dot.origin
        }
        /// A program wrote it anew when it was gone: that is the later write, whatever the clock showed before.
        func isWrittenOver(_ write: SetAside, _ all: [SetAside]) -> Bool {
            guard write.dot.origin.node == node.id, let taken = earlier[write.digest] else { return false }
            return all.contains {
                $0.dot.origin.node == node.id && node.witness.sealed[$0.digest] ?? -1 >= taken.sealed
            }
        }
        func winner(
            _ register: Register, withOrphans: Bool = false
        ) -> (write: SetAside, isOwnAndGone: Bool, isCurrent: Bool)? {
            let all = writes[register] ?? []
            let standing = all.filter {
                !$0.isVoid && (withOrphans || !$0.isOrphan) && !isWrittenOver($0.write, all.map(\.write))
            }
            guard let best = standing.max(by: { isLess($0.write, $1.write) }) else { return nil }
            let stood = all.map(\.write).filter { present.contains($0.digest) }.max(by: isLess)
            return (best.write, best.isOwnAndGone, stood?.digest == best.write.digest)
        }
        node.witness.supplements = [:]
        if inTurn {
            for (register, all) in writes {
                if let greatest = all.filter(\.isOwnAndGone).map(\.write).max(by: isLess) {
                    node.witness.mayRewrite[register, default: []].append(greatest)
                }
            }
        }
        for register in writes.keys {
            node.witness.owed[register] = nil
            // A field that this node's program does not know any more is nobody's to write.
            guard let table = node.table(register.table),
                register.field == Register.existence || table.fields.contains(where: { $0.name == register.field }),
                let best = winner(register), best.isOwnAndGone
            else { continue }
            if node.witness.sealed[best.write.digest] != nil {
                node.witness.owed[register] = best.write
            } else {
                // A clone wrote it, and this machine may never have had the value.
                node.witness.mayRewrite[register, default: []].append(best.write)
            }
            guard best.write.alive == true else { continue }
            for field in table.fields {
                let other = Register(table: register.table, id: register.id, field: field.name)
                if let best = winner(other, withOrphans: true), best.isCurrent {
                    node.witness.supplements[other] = best.write.cells
                }
            }
        }
    }

    /// What counts again is not written a second time, and wins or loses by its stamp like anything else.
    func forgetDebts(_ node: SimulatedNode, _ applied: VersionVector) {
        func counts(_ dot: Dot, _ digest: Digest) -> Bool {
            applied.contains(dot) && entry(dot, at: node)?.digest == digest
        }
        node.witness.owed = node.witness.owed.filter { !counts($1.dot, $1.digest) }
        node.witness.takenBack = node.witness.takenBack.filter { !counts($1.dot, $0) }
    }

    /// Forgets the deletes of rows that are gone: nobody needs to write them again.
    ///
    /// - Parameter mustBePaid: the replica has written again whatever it could. A value that is there already is no excuse: what
    ///   was written before it, and comes later, must lose to it still.
    func settleDebts(_ node: SimulatedNode, _ replica: Replica, mustBePaid: Bool) throws {
        guard !node.witness.owed.isEmpty else { return }
        try replica.read { reader in
            for (register, write) in node.witness.owed.sorted(by: { $0.key < $1.key }) {
                guard let table = node.table(register.table) else { continue }
                let isThere = try SimulatedNode.row(table, register.id, reader) != nil
                if write.alive == false, !isThere {
                    // It may be written again all the same.
                    node.witness.owed[register] = nil
                    node.witness.mayRewrite[register, default: []].append(write)
                    continue
                }
                // A field of a row that another is to bring back waits for it.
                guard mustBePaid, isThere || write.alive != nil else { continue }
                throw SimulationViolation(
                    "\(node.name) wrote \(register.description), \(describe(write)); a cut took it back, and it was not written again"
                )
            }
        }
    }
}
