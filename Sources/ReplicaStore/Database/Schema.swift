// The engine's own tables, and how they came to be, step by step.
//
// Invariant: a replica's `user_version` is the number of steps applied to it, and steps are only ever added.

/// The engine's tables. Names begin with `sync_`, so that they stand apart from the replicated tables in a SQLite shell.
enum Schema {
    /// Marks the file as a replica of syncnode: "SYNC".
    static let applicationID: Int64 = 0x5359_4e43

    static let steps: [String] = [
        """
        -- Facts about this replica, one a row.
        CREATE TABLE sync_settings(name TEXT PRIMARY KEY, value) WITHOUT ROWID;

        -- Every origin known here, numbered: elsewhere it is named by its number.
        -- applied, digest, last_stamp, changes and bytes speak of its last applied change set.
        CREATE TABLE sync_origins(
            number INTEGER PRIMARY KEY, origin BLOB NOT NULL UNIQUE, applied INTEGER NOT NULL DEFAULT 0,
            digest BLOB, last_stamp INTEGER NOT NULL DEFAULT 0, changes INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0);

        -- The log, in order of arrival, which respects causality. changes and bytes are the origin's totals up to it.
        CREATE TABLE sync_change_sets(
            position INTEGER PRIMARY KEY, origin INTEGER NOT NULL, seq INTEGER NOT NULL, first_stamp INTEGER NOT NULL,
            last_stamp INTEGER NOT NULL, changes INTEGER NOT NULL, bytes INTEGER NOT NULL, received_at INTEGER NOT NULL,
            received_from BLOB, digest BLOB NOT NULL, signature BLOB NOT NULL, body BLOB NOT NULL);
        CREATE UNIQUE INDEX sync_change_sets_by_dot ON sync_change_sets(origin, seq);

        -- Causal contexts as they changed: from `seq` on, `origin` had seen `of_origin` up to `of_seq`.
        CREATE TABLE sync_contexts(
            origin INTEGER NOT NULL, of_origin INTEGER NOT NULL, seq INTEGER NOT NULL, of_seq INTEGER NOT NULL,
            PRIMARY KEY(origin, of_origin, seq)) WITHOUT ROWID;

        -- Replicated tables; `sealed` is the last journal entry that is in a change set.
        CREATE TABLE sync_tables(
            number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sealed INTEGER NOT NULL DEFAULT 0,
            capture TEXT NOT NULL DEFAULT '');
        CREATE TABLE sync_columns(
            table_number INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,
            PRIMARY KEY(table_number, position), UNIQUE(table_number, name)) WITHOUT ROWID;
        -- Fields, those not declared here yet too (declared = 0): change sets of newer nodes name them.
        CREATE TABLE sync_fields(
            number INTEGER PRIMARY KEY, table_number INTEGER NOT NULL, name TEXT NOT NULL, columns TEXT NOT NULL,
            declared INTEGER NOT NULL, UNIQUE(table_number, name));
        -- Which fields an insert wrote: its version stands for these, without a row for each.
        CREATE TABLE sync_shapes(number INTEGER PRIMARY KEY, fields TEXT NOT NULL UNIQUE);

        -- Fields whose current value has not arrived: a later change set supersedes it.
        CREATE TABLE sync_awaiting(
            table_number INTEGER NOT NULL, row INTEGER NOT NULL, field INTEGER NOT NULL, origin INTEGER NOT NULL,
            seq INTEGER NOT NULL, PRIMARY KEY(table_number, row, field)) WITHOUT ROWID;
        -- Values of fields that are not declared here yet.
        CREATE TABLE sync_parked(
            table_number INTEGER NOT NULL, row INTEGER NOT NULL, field INTEGER NOT NULL, ordinal INTEGER NOT NULL, value,
            PRIMARY KEY(table_number, row, field, ordinal));

        -- The conflict ledger. `shown`: some witness wrote another value. `key` names the conflict on every replica.
        CREATE TABLE sync_conflicts(
            number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, table_number INTEGER NOT NULL, row INTEGER NOT NULL,
            field INTEGER NOT NULL, stamp INTEGER NOT NULL, origin INTEGER NOT NULL, seq INTEGER NOT NULL,
            has_successor INTEGER NOT NULL, shown INTEGER NOT NULL);
        CREATE INDEX sync_conflicts_by_register ON sync_conflicts(table_number, row, field);
        CREATE INDEX sync_conflicts_shown ON sync_conflicts(shown) WHERE shown;
        CREATE TABLE sync_conflict_values(
            conflict INTEGER NOT NULL, ordinal INTEGER NOT NULL, absent INTEGER NOT NULL, value,
            PRIMARY KEY(conflict, ordinal));
        CREATE TABLE sync_conflict_witnesses(
            conflict INTEGER NOT NULL, stamp INTEGER NOT NULL, origin INTEGER NOT NULL, seq INTEGER NOT NULL,
            differs INTEGER NOT NULL, PRIMARY KEY(conflict, stamp, origin)) WITHOUT ROWID;

        -- Change sets received and proven that cannot be applied yet, with their values.
        CREATE TABLE sync_held(
            number INTEGER PRIMARY KEY, origin BLOB NOT NULL, seq INTEGER NOT NULL, cause TEXT NOT NULL,
            detail TEXT NOT NULL, release_at INTEGER, received_at INTEGER NOT NULL, received_from BLOB,
            signature BLOB NOT NULL, body BLOB NOT NULL, UNIQUE(origin, seq));
        CREATE TABLE sync_held_values(
            held INTEGER NOT NULL, ordinal INTEGER NOT NULL, value BLOB, PRIMARY KEY(held, ordinal));

        -- Records of the roster, each signed by the workspace's authority.
        CREATE TABLE sync_roster(digest BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;

        -- Where peers are, and what is known of them.
        CREATE TABLE sync_addresses(
            address TEXT PRIMARY KEY, node BLOB, added_at INTEGER NOT NULL, last_attempt INTEGER,
            failure TEXT NOT NULL DEFAULT '', failure_kind TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
        CREATE TABLE sync_peers(
            node BLOB PRIMARY KEY,
            -- Reaching it: milliseconds; `failure` is empty where the last attempt went well.
            last_contact INTEGER, last_attempt INTEGER, failure TEXT NOT NULL DEFAULT '',
            failure_kind TEXT NOT NULL DEFAULT '', live INTEGER NOT NULL DEFAULT 0,
            -- Told by the peer itself, at `known_at`.
            applied BLOB, safe BLOB, told BLOB, known_at INTEGER, clock_offset_ms INTEGER, round_trip_us INTEGER,
            software TEXT, schema_matches INTEGER, held TEXT,
            -- What the peer said it had for us, when it greeted.
            backlog_sets INTEGER, backlog_changes INTEGER, backlog_bytes INTEGER, backlog_oldest INTEGER,
            -- Told by another node.
            second_applied BLOB, second_at INTEGER, second_from BLOB) WITHOUT ROWID;
        """,
        """
        -- What happened to this replica that its operator should know.
        CREATE TABLE sync_notices(
            number INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
            dismissed INTEGER NOT NULL DEFAULT 0);
        """,
        """
        -- A held change set says what releases it, so that nothing else makes anyone read it: its time, an earlier change set,
        -- or other declarations than those it was tried under; where it says nothing, it is tried again each time.
        CREATE TABLE sync_held_2(
            number INTEGER PRIMARY KEY, origin BLOB NOT NULL, seq INTEGER NOT NULL, cause TEXT NOT NULL,
            detail TEXT NOT NULL, release_at INTEGER, waits_origin BLOB, waits_seq INTEGER, tried_under TEXT,
            received_at INTEGER NOT NULL, received_from BLOB, signature BLOB NOT NULL, body BLOB NOT NULL,
            UNIQUE(origin, seq));
        INSERT INTO sync_held_2(number, origin, seq, cause, detail, release_at, received_at, received_from, signature, body)
            SELECT number, origin, seq, cause, detail, release_at, received_at, received_from, signature, body FROM sync_held;
        DROP TABLE sync_held;
        ALTER TABLE sync_held_2 RENAME TO sync_held;
        CREATE INDEX sync_held_by_time ON sync_held(release_at) WHERE release_at IS NOT NULL;
        CREATE INDEX sync_held_by_wait ON sync_held(waits_origin, waits_seq) WHERE waits_origin IS NOT NULL;
        CREATE INDEX sync_held_by_schema ON sync_held(tried_under) WHERE release_at IS NULL AND waits_origin IS NULL;
        """,
        """
        -- The sealed part of each journal in runs that lie end to end: up to `last`, and the digest of the entries.
        CREATE TABLE sync_journal_runs(
            table_number INTEGER NOT NULL, last INTEGER NOT NULL, digest BLOB, PRIMARY KEY(table_number, last))
            WITHOUT ROWID;
        -- What was sealed before there were digests is taken as it is: without one.
        INSERT INTO sync_journal_runs(table_number, last) SELECT number, sealed FROM sync_tables WHERE sealed > 0;
        """,
        """
        -- Where origins are cut off, as it follows from the roster's revocations and the fork proofs. 16 bytes name a
        -- revoked node: of its origins that are not listed nothing is accepted. `seq` is the last accepted, and for a fork
        -- the first that is not.
        CREATE TABLE sync_cuts(origin BLOB NOT NULL, cause TEXT NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY(origin, cause)) WITHOUT ROWID;
        -- For each origin that forked, the proof of its lowest fork known.
        CREATE TABLE sync_forks(
            origin BLOB PRIMARY KEY, seq INTEGER NOT NULL, name BLOB NOT NULL, met_at INTEGER NOT NULL, proof BLOB NOT NULL);
        -- Edits of this node that were set aside with a cut, by the change set that held them, and are written again once
        -- their row is there. Field 0 is existence. `with_insert`: only where the row is inserted again. Nothing that is
        -- signed covers a row of these, so each has a digest.
        CREATE TABLE sync_set_aside_edits(
            table_number INTEGER NOT NULL, id TEXT NOT NULL, field INTEGER NOT NULL, ordinal INTEGER NOT NULL,
            origin BLOB NOT NULL, seq INTEGER NOT NULL, with_insert INTEGER NOT NULL, value, digest BLOB NOT NULL,
            PRIMARY KEY(table_number, id, field, ordinal));
        -- Asked at every commit, and mostly empty.
        CREATE INDEX sync_held_forked ON sync_held(origin, seq) WHERE cause = 'forked';
        CREATE INDEX sync_conflict_values_absent ON sync_conflict_values(conflict) WHERE absent;
        """,
        """
        -- How much is held of each author: what bounds it is asked with every change set that is to be held.
        CREATE TABLE sync_held_authors(author BLOB PRIMARY KEY, change_sets INTEGER NOT NULL, bytes INTEGER NOT NULL)
            WITHOUT ROWID;
        INSERT INTO sync_held_authors(author, change_sets, bytes)
            SELECT substr(origin, 1, 16), count(*), sum(length(signature) + length(body)
                + ifnull((SELECT sum(length(value)) FROM sync_held_values WHERE held = sync_held.number), 0))
            FROM sync_held GROUP BY 1;
        """,
        """
        -- Where a cut took back what was applied here: this replica's own last change set then, and a digest of that and of the
        -- body. A later cut reads it again.
        ALTER TABLE sync_held ADD COLUMN taken_back BLOB;
        CREATE INDEX sync_held_taken_back ON sync_held(number) WHERE taken_back IS NOT NULL;
        """,
        """
        -- `misfit`: the field is declared here, and its column would make another value of this one, so it stands here instead.
        ALTER TABLE sync_parked ADD COLUMN misfit INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX sync_parked_misfits ON sync_parked(field, row) WHERE misfit;
        """,
        """
        -- Whole change sets were held for such a value: they are tried once more.
        UPDATE sync_held SET tried_under = NULL WHERE cause = 'schema_differs';
        """,
        """
        -- Of signature and body, as they were proven: what a disk made of them since is not applied. What was held before there were
        -- digests has none.
        ALTER TABLE sync_held ADD COLUMN digest BLOB;
        """,
        """
        -- The table's own statement: what its columns make of values, and what they default to, follows from it.
        ALTER TABLE sync_tables ADD COLUMN definition TEXT NOT NULL DEFAULT '';
        UPDATE sync_tables SET definition = ifnull(
            (SELECT sql FROM sqlite_master WHERE type = 'table' AND sqlite_master.name = sync_tables.name), '');
        """,
        """
        -- A key is no constraint: who goes to great lengths makes two lost writes with one, and would have others' work held for it.
        CREATE TABLE sync_conflicts_2(
            number INTEGER PRIMARY KEY, key TEXT NOT NULL, table_number INTEGER NOT NULL, row INTEGER NOT NULL,
            field INTEGER NOT NULL, stamp INTEGER NOT NULL, origin INTEGER NOT NULL, seq INTEGER NOT NULL,
            has_successor INTEGER NOT NULL, shown INTEGER NOT NULL);
        INSERT INTO sync_conflicts_2(number, key, table_number, row, field, stamp, origin, seq, has_successor, shown)
            SELECT number, key, table_number, row, field, stamp, origin, seq, has_successor, shown FROM sync_conflicts;
        DROP TABLE sync_conflicts;
        ALTER TABLE sync_conflicts_2 RENAME TO sync_conflicts;
        CREATE INDEX sync_conflicts_by_key ON sync_conflicts(key, stamp, seq);
        CREATE INDEX sync_conflicts_by_register ON sync_conflicts(table_number, row, field);
        CREATE INDEX sync_conflicts_shown ON sync_conflicts(shown) WHERE shown;
        """,
    ]

    /// The tables that stand beside each replicated table.
    static func companions(of table: String, columns: [String]) -> String {
        let old = columns.map { ", \"old_\($0)\"" }.joined()
        return """
            -- What was written: by programs (`id` is the row's), and over what applying overwrote (`id` is the row number).
            CREATE TABLE "sync_journal_\(table)"(
                n INTEGER PRIMARY KEY, id, at INTEGER NOT NULL, op INTEGER NOT NULL, mask INTEGER\(old));
            -- One a row ever known. The version is that of the insert, for existence and every field of the shape.
            CREATE TABLE "sync_rows_\(table)"(
                row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, alive INTEGER NOT NULL, shape INTEGER, stamp INTEGER,
                origin INTEGER, seq INTEGER);
            -- Every other write known: field 0 is existence. The greatest is current.
            CREATE TABLE "sync_versions_\(table)"(
                row INTEGER NOT NULL, field INTEGER NOT NULL, stamp INTEGER NOT NULL, origin INTEGER NOT NULL,
                seq INTEGER NOT NULL, PRIMARY KEY(row, field, stamp, origin)) WITHOUT ROWID;
            """
    }
}
