// The tables of the simulated workspace, as an older program declares them and as the present one does.
//
// Invariant: the present schema only adds to the older one: columns, a group, a table.

internal import ReplicationModel

enum SimulatedSchema {
    static let old: [Table] = [notes(adding: [], groups: [:]), links]
    static let present: [Table] = [
        notes(
            adding: [Column("tag"), Column("place_name"), Column("place_code")],
            groups: ["place": ["place_name", "place_code"]]),
        links, Table("marks", columns: [Column("note_id"), Column("kind")]),
    ]
    /// What acknowledging a conflict writes; the engine declares it.
    static let acknowledgements = Table("sync_acknowledgements", columns: [Column("subject", "TEXT")])

    private static let links = Table("links", columns: [Column("note_id"), Column("target")])

    private static func notes(adding columns: [Column], groups: [String: [String]]) -> Table {
        Table(
            "notes",
            columns: [
                Column("title", "TEXT NOT NULL DEFAULT ''"), Column("body"), Column("due_on"), Column("due_precision"),
                Column("amount", ""),
            ] + columns, groups: groups.merging(["due": ["due_on", "due_precision"]]) { first, _ in first })
    }
}
