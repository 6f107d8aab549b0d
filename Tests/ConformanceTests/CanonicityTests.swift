// One change set, one byte string: round trips, and what becomes of bodies that were tampered with.
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct CanonicityTests {
    /// Either the body is refused, or it is the one body of another change set.
    private func checkTampered(_ body: [UInt8], original: ChangeSet, _ what: @autoclosure () -> String) {
        guard let decoded = try? ChangeSetCodec.decode(body) else { return }
        if decoded == original || ChangeSetCodec.encode(decoded) != body {
            Issue.record("\(what()): two bodies for one change set")
        }
    }

    @Test func randomChangeSetsComeBack() throws {
        for seed in UInt64(1)...400 {
            var generator = SampleGenerator(seed: seed)
            let changeSet = generator.changeSet()
            let body = ChangeSetCodec.encode(changeSet)
            #expect(try ChangeSetCodec.decode(body) == changeSet, "seed \(seed)")
            #expect(try ChangeSetCodec.decodeHeader(body) == changeSet.header, "seed \(seed)")
            #expect(ChangeSetCodec.encodedSizeUpperBound(of: changeSet) >= body.count, "seed \(seed)")
        }
    }

    /// What sealing does: cells first, row by row, and the body from their bytes.
    private func encodedByRows(_ changeSet: ChangeSet) -> [UInt8] {
        var cells = CellEncoder()
        let tables = changeSet.tables.map { table in
            // A field that no row writes leaves no trace.
            let fields = [Field(name: "never written", columns: ["never written"])] + table.fields
            let rows = table.rows.map { row in
                let start = cells.byteCount
                for cell in row.cells {
                    switch cell {
                    case .inline(.text(let bytes)): bytes.withUnsafeBytes { cells.append(.text, $0) }
                    case .inline(.blob(let bytes)): bytes.withUnsafeBytes { cells.append(.blob, $0) }
                    default: cells.append(cell)
                    }
                }
                let listsFields = row.kind == .insert || row.kind == .update
                let set = listsFields ? table.fieldSets[row.fieldSet] : []
                let written = set.reduce(UInt64(0)) { $0 | 2 << UInt64($1) }
                return EncodedRowChange(
                    kind: row.kind, id: row.id, stamp: row.stamp, fields: written, cells: start..<cells.byteCount)
            }
            return EncodedTableChanges(table: table.table, fields: fields, rows: rows)
        }
        return ChangeSetCodec.encode(changeSet.header, tables, cells: cells)
    }

    @Test func rowsEncodedOneByOneGiveTheSameBody() throws {
        for seed in UInt64(1)...400 {
            var generator = SampleGenerator(seed: seed)
            let changeSet = generator.changeSet()
            #expect(encodedByRows(changeSet) == ChangeSetCodec.encode(changeSet), "seed \(seed)")
        }
    }

    @Test func checkingAcceptsWhatDecodingAccepts() throws {
        let file = try VectorFile.load()
        var bodies = try file.accepted.map { try bytes($0.body) } + file.malformed.map { try bytes($0.body) }
        for body in try file.accepted.map({ try bytes($0.body) }) {
            for index in body.indices {
                var tampered = body
                tampered[index] ^= 1 << UInt8(index % 8)
                bodies.append(tampered)
            }
        }
        for body in bodies {
            #expect((try? ChangeSetCodec.check(body)) == (try? ChangeSetCodec.decode(body))?.header)
        }
    }

    @Test func everyBitFlipGivesNoSecondBody() throws {
        for vector in try VectorFile.load().accepted {
            let body = try bytes(vector.body)
            let original = try ChangeSetCodec.decode(body)
            for index in body.indices {
                for bit in 0..<8 {
                    var tampered = body
                    tampered[index] ^= 1 << UInt8(bit)
                    checkTampered(tampered, original: original, "\(vector.name), byte \(index), bit \(bit)")
                }
            }
        }
    }

    @Test func everyByteValueGivesNoSecondBody() throws {
        var generator = SampleGenerator(seed: 7)
        let original = generator.changeSet(tables: 2...2)
        let body = ChangeSetCodec.encode(original)
        for index in body.indices {
            for flip in UInt8(1)...255 {
                var tampered = body
                tampered[index] ^= flip
                checkTampered(tampered, original: original, "byte \(index) ^ \(flip)")
            }
        }
    }

    @Test func noPrefixIsAChangeSet() throws {
        for vector in try VectorFile.load().accepted {
            let body = try bytes(vector.body)
            for length in 0..<body.count {
                #expect(throws: ChangeSetFormatError.self, "\(vector.name), \(length)") {
                    try ChangeSetCodec.decode(Array(body[..<length]))
                }
            }
        }
    }

    @Test func insertedAndRemovedBytesGiveNoSecondBody() throws {
        for seed in UInt64(1)...60 {
            var generator = SampleGenerator(seed: seed)
            let original = generator.changeSet()
            let body = ChangeSetCodec.encode(original)
            for _ in 0..<200 {
                var tampered = body
                let index = Int.random(in: 0..<body.count, using: &generator.random)
                if Bool.random(using: &generator.random) {
                    tampered.insert(contentsOf: generator.randomBytes(1), at: index)
                } else {
                    tampered.remove(at: index)
                }
                if tampered != body { checkTampered(tampered, original: original, "seed \(seed), byte \(index)") }
            }
        }
    }

    @Test func garbageIsRefused() {
        var generator = SampleGenerator(seed: 11)
        var header = generator.changeSet(tables: 1...1)
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...300, using: &generator.random)
            let garbage = generator.randomBytes(length)
            #expect(throws: ChangeSetFormatError.self) { try ChangeSetCodec.decode(garbage) }
            #expect(throws: ChangeSetFormatError.self) { try ChangeSetCodec.decodeHeader(garbage) }
        }
        // Garbage that begins well gets further.
        for _ in 0..<20_000 {
            header = Int.random(in: 0..<50, using: &generator.random) == 0 ? generator.changeSet(tables: 1...1) : header
            let body = ChangeSetCodec.encode(header)
            let kept = Int.random(in: 0...body.count, using: &generator.random)
            let length = Int.random(in: 1...100, using: &generator.random)
            let tampered = Array(body[..<kept]) + generator.randomBytes(length)
            if tampered != body { checkTampered(tampered, original: header, "after \(kept)") }
        }
    }
}
