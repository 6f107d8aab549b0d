// What a node sealed against what its programs wrote.
//
// Invariant: every write is in exactly one change set, with the value and in the place it was written, and nothing else is;
// but what a cut took back is written again, once.

internal import ReplicaStore
internal import ReplicationModel
internal import ReplicationWire
internal import Trust

extension Simulation {
    /// What a node sealed since it was looked at last, in the order it was sealed; from here on the library knows it.
    ///
    /// - Parameter looksAside: it may have been sealed and taken back by a cut since.
    func takeSealed(
        _ node: SimulatedNode, _ replica: Replica, _ applied: VersionVector, looksAside: Bool
    ) throws -> [Library.Entry] {
        let own = applied.sorted.filter {
            $0.origin.node == node.id && $0.sequence > node.witness.checked[$0.origin] ?? .zero
        }
        guard !own.isEmpty || looksAside else { return [] }
        var bodies: [[UInt8]] = []
        var aside: [[UInt8]] = []
        // A replica numbers its origins in the order it takes them: stamps do not tell, where the clock was ahead.
        var places: [Origin: Int64] = [:]
        try replica.read { reader in
            for row in try reader.query("SELECT origin, number FROM sync_origins") {
                if let origin = Self.blob(row[0]).flatMap({ Origin(bytes: $0) }), case .integer(let number) = row[1] {
                    places[origin] = number
                }
            }
            for (origin, _) in own {
                let known = node.witness.checked[origin] ?? .zero
                bodies += try reader.query(
                    """
                    SELECT body FROM sync_change_sets WHERE seq > ?
                    AND origin = (SELECT number FROM sync_origins WHERE origin = ?) ORDER BY seq
                    """, [.integer(Int64(known.rawValue)), .blob(origin.bytes)]
                ).compactMap { Self.blob($0[0]) }
            }
            guard looksAside else { return }
            aside = try reader.query(
                "SELECT body FROM sync_held WHERE substr(origin, 1, 16) = ? AND received_from IS NULL",
                [.blob(node.id.bytes)]
            ).compactMap { Self.blob($0[0]) }
        }
        for (origin, sequence) in own { node.witness.checked[origin] = sequence }
        let present = try replica.origin
        func read(_ body: [UInt8]) throws -> (Digest, ChangeSet) {
            (SHA256.digest(body), try ChangeSetCodec.decode(body))
        }
        let added = try bodies.map(read).filter { digest, changeSet in
            // What came back from others is known already; so is what a twin sealed just so.
            !library.knows(digest) || changeSet.header.origin == present && node.witness.sealed[digest] == nil
        }
        let fresh = (added + (try aside.map(read)).filter { node.witness.sealed[$0.0] == nil })
            .sorted { one, other in
                func place(_ header: ChangeSetHeader) -> (Int64, SequenceNumber) {
                    (places[header.origin] ?? .max, header.sequence)
                }
                return place(one.1.header) < place(other.1.header)
            }
        return try fresh.map { digest, changeSet in
            let dot = changeSet.header.dot
            let entry =
                try library[dot].first { $0.digest == digest }
                ?? library.add(changeSet, digest: digest, twice: twice(dot, node))
            node.witness.sealed[digest] = node.witness.sealed[digest] ?? node.witness.sealed.count
            if twins[dot.origin] != nil { node.witness.contents[dot] = digest }
            trace.note("\(node.name) sealed \(describe(VersionVector([dot.origin: dot.sequence]))) \(digest)")
            describe(entry)
            return entry
        }
    }

    private func describe(_ entry: Library.Entry) {
        trace.detail("context \(describe(entry.context))")
        for table in entry.changeSet.tables {
            table.forEachWrite { register, row, cells in
                trace.detail("\(register.description) \(row.kind) \(row.stamp) \(Self.describe(cells))")
            }
        }
    }

    static func describe(_ content: Content) -> String {
        switch content {
        case .existence(let alive): alive ? "alive" : "deleted"
        case .values(let values): describe(values.map(cell))
        }
    }

    /// Cells in a few characters each.
    static func describe(_ cells: [Cell]) -> String {
        cells.map { cell in
            switch cell {
            case .inline(.null): "null"
            case .inline(.integer(let integer)): "\(integer)"
            case .inline(.real(let real)): "\(real)"
            case .inline(.text(let bytes)): "“\(String(decoding: bytes.prefix(20), as: UTF8.self))”"
            case .inline(.blob(let bytes)): "blob \(SHA256.digest(bytes).description.prefix(8))"
            case .beside(let large): "\(large.byteCount) bytes \(large.digest.description.prefix(8))"
            }
        }.joined(separator: ", ")
    }

    private static func blob(_ value: Value) -> [UInt8]? { if case .blob(let bytes) = value { bytes } else { nil } }

    /// Whether another content may be sealed under a name.
    private func twice(_ dot: Dot, _ node: SimulatedNode) -> Library.Twice {
        let known = library[dot]
        guard !known.isEmpty else { return .never }
        let isElsewhere = nodes.contains { $0 !== node && $0.witness.seen.contains(dot) }
        if !isElsewhere, known.allSatisfy({ takenBack.contains($0.digest) && !rolledBack.contains($0.digest) }) {
            for entry in known { takenBack.remove(entry.digest) }
            return .inPlace
        }
        guard let common = twins[dot.origin], dot.sequence > common else { return .never }
        return .forks
    }

    // MARK: Against the books

    /// Between which stamps a change set may lie.
    private struct Moment {
        let floor: Stamp
        let ceiling: Int64
    }

    /// Checks change sets that a call sealed.
    ///
    /// - Parameters:
    ///   - matched: what the books say was written, and was found.
    ///   - before: the greatest stamp that the node had given out before it.
    ///   - applied: the vector after the call.
    ///   - rewinds: how often it was rewound in it.
    func check(
        _ sealed: [Library.Entry], _ node: SimulatedNode, _ matched: inout Set<Register>, before: Stamp,
        applied: VersionVector, rewinds: Int
    ) throws {
        for entry in sealed {
            let moment = try moment(of: entry, node, before, applied, rewinds)
            guard entry.changeSet.header.firstStamp > moment.floor else {
                throw SimulationViolation("\(entry.dot) is stamped before what its author had seen (Rule S)")
            }
            var restored: Set<RowID> = []
            for table in entry.changeSet.tables {
                try table.forEachWrite { register, row, cells in
                    try check(register, row, cells, node, moment, &matched, &restored)
                }
            }
        }
    }

    /// Everything that was written is sealed once anything is.
    func closeBook(_ node: SimulatedNode, _ matched: Set<Register>) throws {
        for register in node.witness.book.entries.keys.sorted() where !matched.contains(register) {
            throw SimulationViolation("\(node.name) wrote \(register.description), and did not seal it")
        }
        node.witness.book = node.witness.later.without(matched)
        node.witness.later = WriteBook()
    }

    /// Whether a change set was sealed by who had seen just that.
    static func states(_ entry: Library.Entry, _ vector: VersionVector) -> Bool {
        var (stated, expected) = (entry.context, vector)
        stated[entry.dot.origin] = .zero
        expected[entry.dot.origin] = .zero
        return stated == expected
    }

    private func moment(
        of entry: Library.Entry, _ node: SimulatedNode, _ before: Stamp, _ applied: VersionVector, _ rewinds: Int
    ) throws -> Moment {
        let book = node.witness.book
        let isBefore = Self.states(entry, node.witness.seen)
        let mayBeAfter = rewinds > 0 || !node.witness.owed.isEmpty || !node.witness.mayRewrite.isEmpty
        // What a raised cut let in may have been taken back again by another that came with it.
        guard isBefore || mayBeAfter && (rewinds > 0 || Self.states(entry, applied)) else {
            throw SimulationViolation(
                "\(entry.dot) states the context \(describe(entry.context)), and was sealed at \(describe(node.witness.seen))"
            )
        }
        let known = library.greatestStamp(within: isBefore ? node.witness.seen : entry.context)
        let written = isBefore ? max(book.latest, node.witness.later.latest) : node.machine.now
        let count =
            isBefore
            ? book.count + node.witness.later.count
            : node.witness.owed.count + node.witness.mayRewrite.count + book.count
        let highest = max(max(known.greatest, before), Stamp(max(written, WallClock(milliseconds: 0))))
        return Moment(floor: known.least, ceiling: highest.rawValue + Int64(count) + 1)
    }

    private func check(
        _ register: Register, _ row: RowChange, _ cells: [Cell], _ node: SimulatedNode, _ moment: Moment,
        _ matched: inout Set<Register>, _ restored: inout Set<RowID>
    ) throws {
        let written =
            matched.contains(register)
            ? nil : node.witness.book.entries[register] ?? node.witness.later.entries[register]
        if let written, Self.agrees(written.content, row, cells) {
            try check(register, row, written, node, moment)
            matched.insert(register)
            // What is written since is what counts.
            node.witness.owed[register] = nil
            return
        }
        if let owed = node.witness.owed[register],
            owed.alive.map({ $0 == (row.kind != .delete) }) ?? (owed.cells == cells)
        {
            node.witness.owed[register] = nil
            tallies.count("rewritten")
            if owed.alive == true { restored.insert(row.id) }
            return
        }
        let others = node.witness.mayRewrite[register] ?? []
        if let place = others.firstIndex(where: { $0.alive.map { $0 == (row.kind != .delete) } ?? ($0.cells == cells) })
        {
            let other = others[place]
            node.witness.mayRewrite[register]?.remove(at: place)
            if other.alive == true { restored.insert(row.id) }
            return
        }
        if row.kind == .insert, restored.contains(row.id) {
            let isEmpty = cells.allSatisfy { $0 == .inline(.null) || $0 == .inline(.text([])) }
            if isEmpty || node.witness.supplements[register] == cells { return }
        }
        guard let written else {
            throw SimulationViolation(
                "\(node.name) sealed \(register.description) as \(row.kind) \(Self.describe(cells)), which no program wrote\(matched.contains(register) ? " twice" : "")\(node.witness.owed[register].map { ", owed \(describe($0))" } ?? "")"
            )
        }
        throw SimulationViolation(
            "\(node.name) sealed \(register.description) as \(row.kind) \(Self.describe(cells)), and its program wrote \(Self.describe(written.content))"
        )
    }

    private static func agrees(_ content: Content, _ row: RowChange, _ cells: [Cell]) -> Bool {
        switch content {
        case .existence(let alive): alive == (row.kind != .delete)
        case .values(let values): values.map(cell) == cells
        }
    }

    private func check(
        _ register: Register, _ row: RowChange, _ written: WriteBook.Entry, _ node: SimulatedNode, _ moment: Moment
    ) throws {
        // Where clocks were wrong, a write may be stamped by what peers took for the present.
        let clocksAreRight = [.clockDrift, .clockJump, .clockBack, .clockYear].allSatisfy { tallies[$0] == 0 }
        guard !clocksAreRight || row.stamp.wallClock >= written.at, row.stamp.rawValue <= moment.ceiling else {
            throw SimulationViolation(
                "\(node.name) wrote \(register.description) at \(written.at.milliseconds), and stamped it \(row.stamp)"
            )
        }
    }

    /// How a value stands in a change set, by the design: section 4.
    static func cell(_ value: Value) -> Cell {
        switch value {
        case .text(let bytes) where bytes.count > 256:
            .beside(LargeValue(kind: .text, digest: SHA256.digest(bytes), byteCount: UInt64(bytes.count)))
        case .blob(let bytes) where bytes.count > 256:
            .beside(LargeValue(kind: .blob, digest: SHA256.digest(bytes), byteCount: UInt64(bytes.count)))
        default: .inline(value)
        }
    }
}
