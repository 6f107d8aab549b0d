// A change set read where it stands says what decoding it says, cell by cell, and is refused wherever decoding refuses.
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct ViewTests {
    /// The change set put together from what the view lends.
    private func lent(_ view: ChangeSetView) -> ChangeSet {
        view.withRows { reader in
            ChangeSet(
                header: view.header,
                tables: view.tables.map { table in
                    TableChanges(
                        table: table.table, fields: table.fields, fieldSets: table.fieldSets,
                        rows: table.rows.map { row in
                            var cells: [Cell] = []
                            reader.forEachCell(of: row) { index, cell in
                                #expect(index == cells.count)
                                cells.append(value(cell))
                            }
                            return RowChange(
                                kind: row.kind, id: RowID(bytes: Array(reader.id(of: row))), stamp: row.stamp,
                                fieldSet: row.fieldSet, cells: cells)
                        })
                })
        }
    }

    private func value(_ cell: CellPlace) -> Cell {
        switch cell {
        case .null: .inline(.null)
        case .integer(let value): .inline(.integer(value))
        case .real(let value): .inline(.real(value))
        case .inline(.text, let bytes): .inline(.text(Array(bytes)))
        case .inline(.blob, let bytes): .inline(.blob(Array(bytes)))
        case .beside(let large): .beside(large)
        }
    }

    private func isNumber(_ cell: Cell) -> Bool {
        switch cell {
        case .inline(.integer), .inline(.real): true
        default: false
        }
    }

    private func check(_ view: ChangeSetView, _ expected: ChangeSet, _ comment: Comment) {
        #expect(view.header == expected.header, comment)
        #expect(view.changeSet == expected, comment)
        #expect(lent(view) == expected, comment)
        #expect(view.besideCells == expected.besideCells, comment)
        for (table, changes) in zip(view.tables, expected.tables) {
            #expect(table.holdsNumbers == changes.rows.contains { $0.cells.contains(where: isNumber) }, comment)
            #expect(table.rows.map(\.besideCount) == changes.rows.map(\.besideCells.count), comment)
        }
    }

    @Test func randomChangeSetsReadAlike() throws {
        for seed in UInt64(1)...400 {
            var generator = SampleGenerator(seed: seed)
            let changeSet = generator.changeSet()
            try check(ChangeSetView(ChangeSetCodec.encode(changeSet)), changeSet, "seed \(seed)")
        }
    }

    @Test func theVectorsReadAlike() throws {
        for vector in try VectorFile.load().accepted {
            try check(ChangeSetView(bytes(vector.body)), vector.changeSet.model(), "\(vector.name)")
        }
        for vector in try VectorFile.load().malformed {
            let body = try bytes(vector.body)
            let error = #expect(throws: ChangeSetFormatError.self) { try ChangeSetView(body) }
            #expect(error?.rule.name == vector.rule, "\(String(describing: error))")
        }
    }

    @Test func aTamperedBodyIsRefusedOrReadsAlike() throws {
        for vector in try VectorFile.load().accepted {
            let body = try bytes(vector.body)
            for index in body.indices {
                var tampered = body
                tampered[index] ^= 1 << UInt8(index % 8)
                let decoded = try? ChangeSetCodec.decode(tampered)
                let view = try? ChangeSetView(tampered)
                #expect((view == nil) == (decoded == nil), "\(vector.name), byte \(index)")
                if let view, let decoded { check(view, decoded, "\(vector.name), byte \(index)") }
            }
        }
    }
}
