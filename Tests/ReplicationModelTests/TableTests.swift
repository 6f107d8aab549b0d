// How columns become fields: alone, or as the group that binds them.
import ReplicationModel
import Testing

@Suite struct TableTests {
    @Test func columnsAloneAreFields() {
        let table = Table("t", columns: [Column("b"), Column("a", "INTEGER NOT NULL DEFAULT 0")])
        #expect(table.fields == [Field(name: "b", columns: ["b"]), Field(name: "a", columns: ["a"])])
    }

    @Test func aGroupStandsWhereItsFirstColumnStands() {
        let table = Table(
            "t", columns: ["a", "due_on", "b", "due_precision", "c"].map { Column($0) },
            groups: ["due": ["due_on", "due_precision"]])
        #expect(table.fields.map(\.name) == ["a", "due", "b", "c"])
        #expect(table.fields[1].columns == ["due_on", "due_precision"])
    }

    @Test func everyColumnIsInOneField() {
        let columns = (0..<Table.columnLimit).map { Column("c\($0)") }
        let table = Table("t", columns: columns, groups: ["x": ["c5", "c60"], "y": ["c0", "c1", "c2"]])
        #expect(table.fields.flatMap(\.columns).sorted() == columns.map(\.name).sorted())
        #expect(table.fields.count == Table.columnLimit - 3)
    }

    @Test func valuesAreEqualByTypeAndBits() {
        #expect(Value.real(0) != .real(-0.0))
        #expect(Value.integer(1) != .real(1))
        #expect(Value.text([97]) != .blob([97]))
        #expect(Value.null == .null)
        #expect(Set([Value.real(0), .real(-0.0), .real(0)]).count == 2)
        #expect(Value.text([0xff, 0]).byteCount == 2)
        #expect(Value("é").string == "é")
    }
}
