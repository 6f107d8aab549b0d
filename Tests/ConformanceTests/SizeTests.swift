// What a sealer relies on: sizes known while cutting, limits that the decoder holds, and parts in normal form.
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct SizeTests {
    private let origin = Origin(node: NodeID(Identifier128(high: 1, low: 2)), incarnation: 3)

    private func changeSet(_ tables: [TableChanges], changes: UInt64, besideBytes: UInt64 = 0) -> ChangeSet {
        let stamps = tables.flatMap(\.rows).map(\.stamp)
        return ChangeSet(
            header: ChangeSetHeader(
                origin: origin, sequence: SequenceNumber(1), previous: .none, contextChanges: VersionVector(),
                firstStamp: stamps.min() ?? .zero, lastStamp: stamps.max() ?? .zero, totalsBefore: .zero,
                changes: changes, besideBytes: besideBytes),
            tables: tables)
    }

    private func deletes(_ count: Int, in table: String) throws -> TableChanges {
        let stamp = try #require(Stamp(rawValue: 5))
        let rows = (0..<count).map {
            RowChange(kind: .delete, id: RowID("\($0)"), stamp: stamp, fieldSet: 0, cells: [])
        }
        return TableChanges(table: table, fields: [], fieldSets: [], rows: rows)
    }

    @Test func asManyRowChangesAsAllowed() throws {
        let all = changeSet([try deletes(Limits.rowChanges, in: "a")], changes: UInt64(Limits.rowChanges))
        #expect(try ChangeSetCodec.decode(ChangeSetCodec.encode(all)) == all)
        let tables = [try deletes(Limits.rowChanges, in: "a"), try deletes(1, in: "b")]
        let more = ChangeSetCodec.encode(changeSet(tables, changes: UInt64(Limits.rowChanges) + 1))
        let error = #expect(throws: ChangeSetFormatError.self) { try ChangeSetCodec.decode(more) }
        #expect(error?.rule == .limit)
    }

    @Test func aBodyTooLongIsRefusedUnread() {
        let body = [UInt8](repeating: 0, count: Limits.acceptedBodyBytes + 1)
        for error in [
            #expect(throws: ChangeSetFormatError.self) { try ChangeSetCodec.decode(body) },
            #expect(throws: ChangeSetFormatError.self) { try ChangeSetCodec.decodeHeader(body) },
        ] {
            #expect(error?.rule == .limit)
            #expect(error?.offset == 0)
        }
    }

    @Test func asManyContextEntriesAsAllowed() throws {
        let one = changeSet([try deletes(1, in: "a")], changes: 1)
        var context = VersionVector()
        for number in 0..<UInt64(Limits.origins) {
            context[Origin(node: origin.node, incarnation: 100 + number)] = SequenceNumber(UInt64(Int64.max) - number)
        }
        let header = ChangeSetHeader(
            origin: origin, sequence: SequenceNumber(1), previous: .none, contextChanges: context,
            firstStamp: one.header.firstStamp, lastStamp: one.header.lastStamp, totalsBefore: .zero, changes: 1,
            besideBytes: 0)
        let full = ChangeSet(header: header, tables: one.tables)
        let body = ChangeSetCodec.encode(full)
        #expect(try ChangeSetCodec.decode(body) == full)
        let bound = ChangeSetCodec.encodedSizeUpperBound(ofHeaderWithContext: Limits.origins)
        #expect(bound >= body.count - 20)
        #expect(bound < Limits.bodyBytes)
    }

    /// The bound of a row change is close enough to cut by, and the parts' bounds add up to the whole's.
    @Test func boundsOfPartsAreBoundsOfTheirBytes() {
        for seed in UInt64(500)...600 {
            var generator = SampleGenerator(seed: seed)
            let set = generator.changeSet()
            let body = ChangeSetCodec.encode(set)
            var sum = ChangeSetCodec.encodedSizeUpperBound(ofHeaderWithContext: set.header.contextChanges.count)
            for table in set.tables {
                sum += ChangeSetCodec.encodedSizeUpperBound(
                    ofTable: table.table, fields: table.fields, fieldSetCount: table.fieldSets.count)
                sum += table.rows.reduce(0) { $0 + ChangeSetCodec.encodedSizeUpperBound(of: $1) }
            }
            #expect(sum == ChangeSetCodec.encodedSizeUpperBound(of: set))
            let rows = set.tables.reduce(0) { $0 + $1.rows.count }
            #expect(body.count...(body.count + 10 * rows + 300 + 64 * set.tables.count) ~= sum, "seed \(seed)")
        }
    }

    @Test func besideCellsStandInOrder() {
        for seed in UInt64(1)...50 {
            var generator = SampleGenerator(seed: seed)
            let set = generator.changeSet()
            var expected: [LargeValue] = []
            for table in set.tables {
                for row in table.rows {
                    for cell in row.cells { if case .beside(let value) = cell { expected.append(value) } }
                }
            }
            #expect(set.besideCells == expected)
            #expect(set.tables.reduce(0) { $0 + $1.changes } == set.header.changes)
            #expect(set.tables.allSatisfy { $0.normalized() == $0 })
        }
    }

    @Test func normalizingDropsWhatNothingUsesAndSorts() throws {
        let stamp = try #require(Stamp(rawValue: 5))
        let fields = ["a", "b", "c", "d"].map { Field(name: $0, columns: [$0]) }
        let untidy = TableChanges(
            table: "t", fields: fields, fieldSets: [[0], [1, 3], [0, 1], [3], [1]],
            rows: [
                RowChange(kind: .update, id: RowID("x"), stamp: stamp, fieldSet: 3, cells: [.inline(.integer(4))]),
                RowChange(kind: .delete, id: RowID("x"), stamp: stamp, fieldSet: 4, cells: []),
                RowChange(
                    kind: .insert, id: RowID("y"), stamp: stamp, fieldSet: 1,
                    cells: [.inline(.integer(2)), .inline(.integer(4))]),
                RowChange(kind: .update, id: RowID("z"), stamp: stamp, fieldSet: 4, cells: [.inline(.integer(2))]),
            ])
        let tidy = untidy.normalized()
        #expect(tidy.fields.map(\.name) == ["b", "d"])
        #expect(tidy.fieldSets == [[0], [1], [0, 1]])
        #expect(tidy.rows.map(\.fieldSet) == [1, 0, 2, 0])
        #expect(tidy.rows.map(\.cells) == untidy.rows.map(\.cells))
        let set = changeSet([tidy], changes: tidy.changes)
        #expect(try ChangeSetCodec.decode(ChangeSetCodec.encode(set)) == set)
        let refused = ChangeSetCodec.encode(changeSet([untidy], changes: untidy.changes))
        #expect(throws: ChangeSetFormatError.self) { try ChangeSetCodec.decode(refused) }
    }
}
