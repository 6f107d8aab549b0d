// Capture: triggers in plain SQL that record every program's writes in the journal.
//
// Invariant: a committed change to a replicated table has a journal entry, whichever program made it and however.

internal import ReplicationModel

/// What a journal entry says was done. The numbers stand in the file.
enum JournalOperation: Int64 {
    case insert = 1
    case update = 2
    case delete = 3
    case undelete = 4
    /// Applying a change set overwrote these values, or moved them to the graveyard; `id` holds the row number.
    case overwritten = 6
    /// The row changed by what was written elsewhere before: a rewind rebuilt it from what is left of the log, or a column came for a
    /// value that waited.
    case rebuilt = 7

    /// Whether a program wrote it, so that it is to be sealed.
    var isEdit: Bool { self != .overwritten && self != .rebuilt }
}

enum Capture {
    /// Counts up with every change to the triggers: a replica that has older ones is given these when it is opened.
    static let form = 2

    /// What the triggers are called after, `sync_KIND_TABLE`. One that was ever in use stays in the list, so that it is dropped.
    static let kinds = ["insert", "update", "rename", "delete", "rowid", "move"]

    /// Milliseconds since 1970. Within one statement `now` stands still.
    static let now = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"

    /// The triggers of one table, as SQL that replaces older ones.
    ///
    /// Which statements end in which entries:
    /// - INSERT, and the insert half of REPLACE: one `insert`. Sealing tells from the row's past what it replaced.
    /// - UPSERT: an `insert` or an `update`, whichever took place.
    /// - UPDATE: one `update` naming the columns that changed; none where nothing did.
    /// - UPDATE of `id`: a `delete` and an `insert`.
    /// - DELETE, and the delete half of REPLACE with recursive triggers: one `delete` with all values.
    ///
    /// Without recursive triggers REPLACE tells nobody of a row that it removes. Where it removes the row of the same id,
    /// that does not matter; one with the same rowid would be gone without a trace, so a rowid that is taken is refused.
    /// A rowid that SQLite chooses reads as -1 in `BEFORE INSERT`.
    static func triggers(for table: CompiledTable) -> String {
        let name = table.name
        let journal = "\"sync_journal_\(name)\""
        let columns = table.columns
        let oldColumns = columns.map { ", \"old_\($0)\"" }.joined()
        let oldValues = columns.map { ", OLD.\"\($0)\"" }.joined()
        let everything = columns.isEmpty ? "0" : String(Int64.max >> Int64(Table.columnLimit - columns.count))
        let drops =
            kinds
            .map { "DROP TRIGGER IF EXISTS \"sync_\($0)_\(name)\";" }.joined(separator: "\n")
        var statements = [
            drops,
            """
            CREATE TRIGGER "sync_insert_\(name)" AFTER INSERT ON "\(name)" BEGIN
                \(checks(table))
                INSERT INTO \(journal)(id, at, op) VALUES (NEW.id, \(now), \(JournalOperation.insert.rawValue));
            END;
            """,
            """
            CREATE TRIGGER "sync_delete_\(name)" AFTER DELETE ON "\(name)" BEGIN
                INSERT INTO \(journal)(id, at, op, mask\(oldColumns))
                VALUES (OLD.id, \(now), \(JournalOperation.delete.rawValue), \(everything)\(oldValues));
            END;
            """,
            """
            CREATE TRIGGER "sync_rename_\(name)" AFTER UPDATE OF id ON "\(name)" WHEN NEW.id IS NOT OLD.id BEGIN
                \(checks(table))
                INSERT INTO \(journal)(id, at, op, mask\(oldColumns))
                VALUES (OLD.id, \(now), \(JournalOperation.delete.rawValue), \(everything)\(oldValues));
                INSERT INTO \(journal)(id, at, op) VALUES (NEW.id, \(now), \(JournalOperation.insert.rawValue));
            END;
            """,
            """
            CREATE TRIGGER "sync_rowid_\(name)" BEFORE INSERT ON "\(name)" WHEN NEW._rowid_ IS NOT -1 BEGIN
                \(rowidCheck(table, but: "NEW.id"))
            END;
            """,
            """
            CREATE TRIGGER "sync_move_\(name)" BEFORE UPDATE OF rowid, oid, _rowid_ ON "\(name)" BEGIN
                \(rowidCheck(table, but: "OLD.id"))
            END;
            """,
        ]
        if !columns.isEmpty {
            let mask = columns.enumerated()
                .map { "(\(changed($1, table)) << \($0))" }.joined(separator: " | ")
            let kept = columns.enumerated()
                .map { ", CASE WHEN m & \(Int64(1) << Int64($0)) THEN OLD.\"\($1)\" END" }.joined()
            statements.append(
                """
                CREATE TRIGGER "sync_update_\(name)" AFTER UPDATE ON "\(name)" WHEN NEW.id IS OLD.id BEGIN
                    \(checks(table))
                    INSERT INTO \(journal)(id, at, op, mask\(oldColumns))
                    SELECT OLD.id, \(now), \(JournalOperation.update.rawValue), m\(kept)
                    FROM (SELECT \(mask) AS m) WHERE m;
                END;
                """)
        }
        return statements.joined(separator: "\n")
    }

    /// Whether a column's value changed. `IS NOT` takes `1` and `1.0` for equal, so a column that keeps both compares
    /// types as well; one of TEXT affinity keeps neither. A column may be declared to compare without case: bytes count here.
    private static func changed(_ column: String, _ table: CompiledTable) -> String {
        let differs = "NEW.\"\(column)\" IS NOT OLD.\"\(column)\" COLLATE BINARY"
        return table.affinity(of: column) == .text
            ? "(\(differs))" : "(\(differs) OR typeof(NEW.\"\(column)\") IS NOT typeof(OLD.\"\(column)\"))"
    }

    /// Refuses to take the rowid of a row other than this.
    private static func rowidCheck(_ table: CompiledTable, but id: String) -> String {
        """
        SELECT RAISE(ABORT, 'syncnode: this rowid of \(table.name) is taken; leave rowid out, rows are named by id')
                WHERE EXISTS (SELECT 1 FROM "\(table.name)" WHERE _rowid_ = NEW._rowid_ AND id IS NOT \(id));
        """
    }

    /// Refuses, to the program that writes, what could not be replicated.
    private static func checks(_ table: CompiledTable) -> String {
        let idLimit = RowID.byteCountLimit
        var checks = """
            SELECT RAISE(ABORT, 'syncnode: the id of a row of \(table.name) must be text of 1 to \(idLimit) bytes')
                WHERE typeof(NEW.id) IS NOT 'text' OR length(CAST(NEW.id AS BLOB)) NOT BETWEEN 1 AND \(idLimit);
            """
        guard !table.columns.isEmpty else { return checks }
        let lengths = table.columns.map { "ifnull(length(CAST(NEW.\"\($0)\" AS BLOB)), 0)" }
        let tooLong = lengths.map { "\($0) > \(Limits.valueBytes)" }.joined(separator: " OR ")
        checks += """

                SELECT CASE
                    WHEN \(tooLong) THEN RAISE(ABORT, 'syncnode: a value of \(table.name) is over 8 MiB, the most that is replicated')
                    ELSE RAISE(ABORT, 'syncnode: a row of \(table.name) is over 16 MiB, the most that is replicated') END
                    WHERE \(lengths.joined(separator: " + ")) > \(Limits.valueBytes)
                    AND (\(lengths.joined(separator: " + ")) > \(Limits.rowBytes) OR \(tooLong));
            """
        return checks
    }
}
