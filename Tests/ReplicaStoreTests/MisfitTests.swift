// Values and names that this schema would not keep as they were signed: held, and the replica stays sound.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct MisfitTests {
    /// SQLite makes text of a number in a column of text, and then it is not what the author signed.
    @Test func aNumberInAColumnOfTextIsHeld() throws {
        for value in [Value.integer(7), .real(1.5)] {
            let workspace = try TestWorkspace()
            let replica = try workspace.replica("a")
            var forger = Forger(workspace.authors)
            let good = forger.write(
                .insert, "notes", "f1", [("body", Value("x")), ("amount", value)], at: workspace.stamp(-2))
            let bad = forger.write(.update, "notes", "f1", [("body", value)], at: workspace.stamp(-1))
            let report = try replica.apply([good, bad], from: nil, authors: workspace.authors)
            #expect(report.violation == nil && report.changeSets == 1)
            #expect(report.held.map(\.cause) == [.schemaDiffers])
            #expect(report.held.first?.detail.contains("notes.body") == true)
            #expect(try replica.contents("notes").count == 1)
            #expect(try replica.verify(authors: workspace.authors).findings == [])
        }
    }

    /// A column of another schema may have a space in its name, as it may have any character that is no control.
    @Test func anUnknownFieldWithASpaceInItsNameIsParkedEachTime() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let pair = [Field(name: "new pair", columns: ["new one", "another"])]
        let first = forger.write(
            .insert, "notes", "f1", fields: pair, [Value("a"), Value("b")], at: workspace.stamp(-2))
        let second = forger.write(
            .update, "notes", "f1", fields: pair, [Value("c"), Value("d")], at: workspace.stamp(-1))
        for changeSet in [first, second] {
            let report = try replica.apply([changeSet], from: nil, authors: workspace.authors)
            #expect(report.violation == nil && report.held.isEmpty && report.changeSets == 1, "\(report)")
        }
        #expect(try replica.verify(authors: workspace.authors).findings == [])
    }
}
