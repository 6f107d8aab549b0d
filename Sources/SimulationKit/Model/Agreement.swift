// What must be true once everyone has met everyone: the invariants of the design, section 11.
//
// Invariant: nodes are compared with each other and with the model; equal mistakes on all nodes are found by the second.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    func checkAgreement() throws {
        let tables = SimulatedSchema.present + [SimulatedSchema.acknowledgements]
        guard let first = nodes[0].replica else { throw SimulationViolation("n0 is down after healing") }
        let applied = try first.vectors().applied
        countCuts(nodes[0].witness.cuts)
        // Where a cut took a value from everyone, who had it once may have it still, and the rest have what stood there before.
        var all: [Contents] = []
        for node in members {
            guard let replica = node.replica else { throw SimulationViolation("\(node.name) is down after healing") }
            all.append(try replica.read { try Contents($0, tables) })
        }
        let awaited = all.reduce(into: Set()) { $0.formUnion($1.awaited) }
        for place in all.indices { tallies.count("values-not-compared", all[place].mask(awaited, tables)) }
        let expected = all[0]
        for (node, contents) in zip(members, all) {
            guard let replica = node.replica else { throw SimulationViolation("\(node.name) is down after healing") }
            try settleDebts(node, replica, mustBePaid: true)
            let status = try replica.status()
            guard status.unsealed == 0, status.held == 0 || !node.witness.cuts.isEmpty, status.parked == 0 else {
                throw SimulationViolation("\(node.name) is not done: \(status)")
            }
            guard node.witness.book.isEmpty else {
                throw SimulationViolation(
                    "\(node.name) wrote what nobody has: \(node.witness.book.entries.keys.sorted().prefix(3))")
            }
            guard try !node.witness.cuts.exclude(Dot(origin: replica.origin, sequence: SequenceNumber(.max)), at: nil)
            else { throw SimulationViolation("\(node.name) goes on under an origin that is cut off") }
            if let difference = contents.difference(from: expected) {
                throw SimulationViolation("\(node.name) and n0 have equal vectors and differ: \(difference)")
            }
        }
        try compareLog(expected, applied)
        let model = ReferenceModel(within: applied) { entry($0, at: nodes[0]) }
        try compare(expected, model, tables)
        try replay(expected, tables)
        for node in members {
            try verify(node)
            try checkFollowers(of: node)
            try checkNothingIsLost(node, applied)
            if awaited.isEmpty { try compareByRanges(nodes[0], node) }
        }
        trace.note("agreed at \(describe(applied))")
        tallies.count("change-sets", expected["log"].count)
        tallies.count("conflicts", expected["ledger"].count)
    }

    private func countCuts(_ cuts: KnownCuts) {
        tallies.count("forks-proven", cuts.forked.count)
    }

    // MARK: The model

    private func compare(
        _ contents: Contents, _ model: ReferenceModel, _ tables: [Table]
    ) throws {
        var versions: [String: Set<String>] = [:]
        var ids: Set<Register> = []
        var ledger: [String: (Register, ReferenceModel.Lost)] = [:]
        for (register, writes) in model.writes {
            ids.insert(Register(table: register.table, id: register.id, field: Register.existence))
            for write in writes {
                versions[register.table, default: []].insert(
                    Contents.key(
                        Contents.name(register.id), register.field, .integer(write.stamp.rawValue), "\(write.origin)"))
            }
            for lost in model.lost(register) { ledger[ReferenceModel.key(register, lost.write)] = (register, lost) }
        }
        for table in tables {
            let known = Set(contents["versions \(table.name)"].keys)
            if let odd = known.symmetricDifference(versions[table.name] ?? []).sorted().first {
                throw SimulationViolation(
                    "\(table.name): the write \(odd) is in the replicas or in the model, not in both")
            }
        }
        for row in ids.sorted() { try compareRow(row, contents, model, tables) }
        try compareLedger(contents, ledger)
    }

    private func compareLog(_ contents: Contents, _ applied: VersionVector) throws {
        var count = 0
        for (dot, entries) in library.contents {
            guard applied.contains(dot) else {
                for entry in entries where !isGone(entry, applied) {
                    throw SimulationViolation(
                        "\(dot) was sealed by \(describe(VersionVector([dot.origin: dot.sequence]))) and is nowhere")
                }
                continue
            }
            guard entries.contains(where: { contents["log"]["\(dot)"] == [.blob($0.digest.bytes)] }) else {
                throw SimulationViolation("\(dot) is not in the log as it was sealed")
            }
            count += 1
        }
        guard contents["log"].count == count else { throw SimulationViolation("the log holds what nobody sealed") }
    }

    /// What need not be in any log: what a disk took back before it was sent, what comes after a cut, what builds on either,
    /// and what nobody had of a node that is out.
    private func isGone(_ entry: Library.Entry, _ applied: VersionVector) -> Bool {
        takenBack.contains(entry.digest) || nodes[0].witness.cuts.exclude(entry.dot, at: nil)
            || issued.values.contains { $0.node == entry.dot.origin.node } || !applied.covers(entry.context)
    }

    private func compareRow(
        _ row: Register, _ contents: Contents, _ model: ReferenceModel, _ tables: [Table]
    ) throws {
        guard let table = tables.first(where: { $0.name == row.table }) else {
            throw SimulationViolation("a change set names the table \(row.table)")
        }
        let id = Contents.name(row.id)
        let isAlive = model.winner(row)?.alive == true
        let home = isAlive ? "rows" : "graveyard"
        guard contents["existence \(table.name)"][id] == [.integer(isAlive ? 1 : 0)],
            let values = contents["\(home) \(table.name)"][id],
            contents["\(isAlive ? "graveyard" : "rows") \(table.name)"][id] == nil
        else { throw SimulationViolation("\(row.table) \(id) should be \(isAlive ? "alive" : "deleted")") }
        for field in table.fields {
            let register = Register(table: table.name, id: row.id, field: field.name)
            guard let winner = model.winner(register), !contents.isMasked(register) else { continue }
            let found = field.columns.compactMap { name in
                table.columns.firstIndex { $0.name == name }.map { values[$0] }
            }
            guard found.map(Self.cell) == winner.cells else {
                throw SimulationViolation(
                    "\(register.description) is \(Contents.text(found)), and \(winner.stamp)@\(winner.origin) wrote \(winner.cells)"
                )
            }
        }
    }

    private func compareLedger(_ contents: Contents, _ expected: [String: (Register, ReferenceModel.Lost)]) throws {
        let found = contents["ledger"]
        for key in Set(found.keys).union(expected.keys).sorted() {
            guard let (register, lost) = expected[key] else {
                throw SimulationViolation("the ledger has \(key), which by the definition is no conflict")
            }
            guard let entry = found[key] else {
                throw SimulationViolation(
                    "the ledger lacks \(key): \(register.description), \(lost.write.stamp)@\(lost.write.origin):\(lost.write.sequence)"
                )
            }
            let witnesses = zip(lost.witnesses, lost.isShownBeside).map { witness, isShown in
                "\(witness.stamp.rawValue) \(witness.origin) \(isShown ? 1 : 0)"
            }.sorted().joined(separator: ";")
            guard entry[3] == .integer(lost.isShown ? 1 : 0), entry[4] == Value(witnesses) else {
                throw SimulationViolation(
                    "the ledger's \(key), \(register.description), is \(Contents.text(entry)), and should be shown: \(lost.isShown), lost to \(witnesses)"
                )
            }
            if contents.isMasked(ledger: entry) { continue }
            let values = stride(from: 5, to: entry.count, by: 2).map { entry[$0] == .integer(0) ? entry[$0 + 1] : nil }
            let agrees =
                lost.write.alive.map { values == [.integer($0 ? 1 : 0)] }
                ?? (values.map { $0.map(Self.cell) } == lost.write.cells.map(Optional.some))
            guard agrees else {
                throw SimulationViolation(
                    "the ledger's \(key), \(register.description), keeps \(Contents.text(entry)), and \(lost.write.cells) was lost"
                )
            }
        }
    }

    // MARK: What was there, and a replica made from the log alone

    /// What a node had once and what counts is there in the end, whoever wrote it.
    private func checkNothingIsLost(_ node: SimulatedNode, _ applied: VersionVector) throws {
        for (origin, sequence) in counting(node.witness.ever, at: node).sorted {
            // Where an origin has two contents, the one that it had may be the other.
            let last = twins[origin].map { min($0, sequence) } ?? sequence
            guard applied[origin] >= last else {
                throw SimulationViolation(
                    "\(node.name) had \(describe(VersionVector([origin: last]))), which counts, and in the end there is \(describe(applied))"
                )
            }
        }
    }

    /// A node that joins now and takes everything in gets the same.
    private func replay(_ expected: Contents, _ tables: [Table]) throws {
        var identity = chance.forked("auditor")
        let auditor = try addNode(nodes.count, SeededRandom(seed: options.seed), &identity, role: .reader)
        auditor.tables = SimulatedSchema.present
        try join(auditor)
        let all = members.filter { $0 !== auditor }
        let source = all[chance.below(all.count)]
        for _ in 0..<6 {
            try exchange(auditor, source)
            try releaseAll(auditor)
        }
        guard var contents = try auditor.replica?.read({ try Contents($0, tables) }) else { return }
        var expected = expected
        let (ours, theirs) = (contents.awaited, expected.awaited)
        _ = (contents.mask(theirs, tables), expected.mask(ours, tables))
        if let difference = contents.difference(from: expected) {
            throw SimulationViolation("the log replayed from nothing, and n0: \(difference)")
        }
    }
}
