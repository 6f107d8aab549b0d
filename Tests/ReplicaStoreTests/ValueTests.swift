// Values arrive as they were: bit for bit, byte for byte, with their type; also by way of a third replica.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct ValueTests {
    private static let table = Table("raw", columns: [Column("v", ""), Column("w", "")])

    private static let values: [Value] = [
        .null, .integer(0), .integer(1), .integer(-1), .integer(.max), .integer(.min), .integer(127), .integer(-129),
        .integer(1 << 32), .real(0.0), .real(-0.0), .real(1.0), .real(0.1), .real(-1.5e300),
        .real(.greatestFiniteMagnitude),
        .real(.leastNonzeroMagnitude), .real(-.leastNonzeroMagnitude), .real(.leastNormalMagnitude), .real(.infinity),
        .real(-.infinity), .real(Double(bitPattern: 0x000f_ffff_ffff_ffff)), .real(9_007_199_254_740_993.0), Value(""),
        .blob([]), Value("1"), Value("1.0"), Value("a"), .blob([0x61]), .text([0]), .text([0, 0]),
        .text([0x61, 0, 0x62]),
        .blob([0]), .text([0xff]), .text([0xc3]), .text([0xed, 0xa0, 0x80]), .text([0xf4, 0x90, 0x80, 0x80]),
        .text([0xef, 0xbb, 0xbf]), .text([0xff, 0, 0xfe, 0]), Value("e\u{301}"), Value("\u{e9}"),
        .text(.init(repeating: 0xff, count: 255)), .text(.init(repeating: 0, count: 256)),
        .text(.init(repeating: 0, count: 257)), .blob(.init(repeating: 0, count: 256)),
        .blob(.init(repeating: 0, count: 257)), .blob((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }),
        .text((0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }), .text(.init(repeating: 0x78, count: 63)),
        .text(.init(repeating: 0x78, count: 64)), .blob(.init(repeating: 0x78, count: 64)),
    ]

    private func relay(_ workspace: TestWorkspace, _ replicas: [Replica]) throws {
        for (from, to) in zip(replicas, replicas.dropFirst()) { try workspace.pull(to, from: from) }
    }

    private func expectEqual(_ replicas: [Replica], _ expected: [[Value]], _ workspace: TestWorkspace) throws {
        for replica in replicas {
            #expect(try replica.contents("raw") == expected)
            try replica.expectSound(workspace.authors)
        }
    }

    @Test func everyValueArrivesAsItWasAlsoRelayed() throws {
        let workspace = try TestWorkspace()
        let replicas = try ["a", "b", "c"].map { try workspace.replica($0, tables: [Self.table]) }
        for (index, value) in Self.values.enumerated() {
            try replicas[0].execute(
                "INSERT INTO raw(id, v, w) VALUES (?, ?, ?)", [Value("\(1000 + index)"), value, Self.values[0]])
        }
        var expected = Self.values.enumerated().map { [Value("\(1000 + $0)"), $1, Value.null] }
        try relay(workspace, replicas)
        try expectEqual(replicas, expected, workspace)

        // From each value to the next: a change of type alone is a change.
        for (index, value) in Self.values.enumerated() {
            let next = Self.values[(index + 1) % Self.values.count]
            // The one change that SQL cannot see: to it 0.0 and -0.0 are one value.
            guard value != .real(0.0) else { continue }
            try replicas[0].execute("UPDATE raw SET v = ? WHERE id = ?", [next, Value("\(1000 + index)")])
            expected[index][1] = next
        }
        try relay(workspace, replicas)
        try expectEqual(replicas, expected, workspace)
    }

    @Test func everyValueSurvivesTheGraveyard() throws {
        let workspace = try TestWorkspace()
        let replicas = try ["a", "b", "c"].map { try workspace.replica($0, tables: [Self.table]) }
        for (index, value) in Self.values.enumerated() {
            try replicas[0].execute("INSERT INTO raw(id, v) VALUES (?, ?)", [Value("\(1000 + index)"), value])
        }
        let expected = try replicas[0].contents("raw")
        try relay(workspace, replicas)
        try replicas[0].execute("DELETE FROM raw")
        try relay(workspace, replicas)
        for replica in replicas {
            #expect(try replica.contents("raw").isEmpty)
            #expect(try replica.contents("sync_graveyard_raw") == expected)
        }
        for row in expected {
            guard case .text(let id) = row[0] else { continue }
            #expect(try replicas[0].undelete(table: "raw", id: RowID(bytes: id)))
        }
        try relay(workspace, replicas)
        try expectEqual(replicas, expected, workspace)
    }

    @Test func theLargestValuesArrive() throws {
        let workspace = try TestWorkspace()
        let replicas = try ["a", "b", "c"].map { try workspace.replica($0, tables: [Self.table]) }
        var bytes = [UInt8](repeating: 0xa5, count: Limits.valueBytes)
        for index in stride(from: 0, to: bytes.count, by: 4096) {
            bytes[index] = UInt8(truncatingIfNeeded: index >> 12)
        }
        try replicas[0].execute("INSERT INTO raw VALUES ('1', ?, ?)", [.blob(bytes), .text(bytes)])
        try relay(workspace, replicas)
        try expectEqual(replicas, [[Value("1"), .blob(bytes), .text(bytes)]], workspace)
    }

    @Test func typedColumnsKeepWhatSQLiteMadeOfAValue() throws {
        let workspace = try TestWorkspace()
        let table = Table(
            "typed",
            columns: [Column("i", "INTEGER"), Column("r", "REAL"), Column("t", "TEXT"), Column("n", "NUMERIC")])
        let replicas = try ["a", "b", "c"].map { try workspace.replica($0, tables: [table]) }
        for (index, value) in Self.values.enumerated() {
            try replicas[0].execute(
                "INSERT INTO typed VALUES (?, ?, ?, ?, ?)", [Value("\(1000 + index)"), value, value, value, value])
        }
        try relay(workspace, replicas)
        for replica in replicas.dropFirst() {
            #expect(try replica.contents("typed") == replicas[0].contents("typed"))
            try replica.expectSound(workspace.authors)
        }
    }
}
