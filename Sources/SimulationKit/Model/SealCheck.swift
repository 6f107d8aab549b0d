// What a node sealed against what its programs wrote.
//
// Invariant: every write is in exactly one change set, with the value and in the place it was written, and nothing else is.

internal import ReplicaStore
internal import ReplicationModel
internal import ReplicationWire
internal import Trust

extension Simulation {
    /// Checks the change sets of a node's origin that were sealed since it was looked at last.
    func checkSealed(_ node: SimulatedNode, _ origin: Origin, _ replica: Replica) throws {
        let known = node.checked[origin] ?? .zero
        let bodies = try replica.read {
            try $0.query(
                """
                SELECT body FROM sync_change_sets WHERE seq > ?
                AND origin = (SELECT number FROM sync_origins WHERE origin = ?) ORDER BY seq
                """, [.integer(Int64(known.rawValue)), .blob(origin.bytes)])
        }
        let floor = library.greatestStamp(within: node.seen)
        var found: [Register: (content: [Cell], kind: RowChangeKind, stamp: Stamp)] = [:]
        for row in bodies {
            guard case .blob(let body) = row[0] else { throw SimulationViolation("\(node.name): a body is no blob") }
            let changeSet = try ChangeSetCodec.decode(body)
            let dot = changeSet.header.dot
            let isElsewhere = nodes.contains { $0 !== node && $0.seen.contains(dot) }
            let wasTakenBack = takenBack.remove(dot) != nil && !isElsewhere
            let entry = try library.add(changeSet, digest: SHA256.digest(body), wasTakenBack: wasTakenBack)
            try checkContext(node, entry)
            guard changeSet.header.firstStamp > floor else {
                throw SimulationViolation("\(changeSet.header.dot) is stamped before what its author had seen (Rule S)")
            }
            for table in changeSet.tables { try collect(table, changeSet.header.dot, into: &found) }
            node.checked[origin] = changeSet.header.sequence
            trace.note("\(node.name) sealed \(changeSet.header.sequence) \(entry.digest)")
        }
        try compare(node, found, floor)
        node.book = node.later.without(found.keys)
        node.later = WriteBook()
    }

    private func checkContext(_ node: SimulatedNode, _ entry: Library.Entry) throws {
        let origin = entry.changeSet.header.origin
        var (expected, stated) = (node.seen, entry.context)
        expected[origin] = .zero
        stated[origin] = .zero
        guard expected == stated else {
            throw SimulationViolation(
                "\(entry.changeSet.header.dot) states the context \(describe(stated)), and was sealed at \(describe(expected))"
            )
        }
    }

    private func collect(
        _ table: TableChanges, _ dot: Dot,
        into found: inout [Register: (content: [Cell], kind: RowChangeKind, stamp: Stamp)]
    ) throws {
        for row in table.rows {
            func add(_ field: String, _ cells: [Cell]) throws {
                let register = Register(table: table.table, id: row.id, field: field)
                guard found.updateValue((cells, row.kind, row.stamp), forKey: register) == nil else {
                    throw SimulationViolation("\(dot) writes \(register.description) for the second time")
                }
            }
            if row.kind.writesExistence { try add(Register.existence, []) }
            guard row.kind == .insert || row.kind == .update else { continue }
            var start = 0
            for index in table.fieldSets[row.fieldSet] {
                let field = table.fields[index]
                try add(field.name, Array(row.cells[start..<start + field.columns.count]))
                start += field.columns.count
            }
        }
    }

    private func compare(
        _ node: SimulatedNode, _ found: [Register: (content: [Cell], kind: RowChangeKind, stamp: Stamp)], _ floor: Stamp
    ) throws {
        for register in node.book.entries.keys.sorted() where found[register] == nil {
            throw SimulationViolation("\(node.name) wrote \(register.description), and did not seal it")
        }
        let before = library.greatestStamp(of: node.id)
        let ceiling = max(floor, before, Stamp(node.book.latest)).rawValue + Int64(node.book.count) + 1
        // Where clocks were wrong, a write may be stamped by what peers took for the present.
        let clocksAreRight = [.clockDrift, .clockJump, .clockBack, .clockYear].allSatisfy { tallies[$0] == 0 }
        for register in found.keys.sorted() {
            guard let sealed = found[register] else { continue }
            guard let written = node.book.entries[register] ?? node.later.entries[register] else {
                throw SimulationViolation("\(node.name) sealed \(register.description), which no program wrote")
            }
            let agrees =
                switch written.content {
                case .existence(let alive): register.field == Register.existence && alive == (sealed.kind != .delete)
                case .values(let values): values.map(Self.cell) == sealed.content
                }
            guard agrees else {
                throw SimulationViolation(
                    "\(node.name) sealed \(register.description) as \(sealed), and its program wrote \(written.content)"
                )
            }
            guard !clocksAreRight || sealed.stamp.wallClock >= written.at, sealed.stamp.rawValue <= ceiling else {
                throw SimulationViolation(
                    "\(node.name) wrote \(register.description) at \(written.at.milliseconds), and stamped it \(sealed.stamp)"
                )
            }
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
