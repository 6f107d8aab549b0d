// Sealing: from captured edits to signed change sets of this replica's origin.
//
// Invariant: what is sealed is what the journal says was written, each register once a change set, stamped when it was
// written and after everything applied before.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

/// What sealing made.
public struct SealReport: Sendable, Hashable {
    public var changeSets = 0
    public var changes: UInt64 = 0
}

final class Sealer {
    private let transaction: EngineTransaction
    private let key: SigningKey
    private var writer: Writer { transaction.writer }
    private var builder: ChangeSetBuilder
    private var stamp: Stamp
    private let check: ClockCheck
    private var own: OriginRecord
    private(set) var report = SealReport()

    init(_ transaction: EngineTransaction, key: SigningKey) throws {
        self.transaction = transaction
        self.key = key
        own = try transaction.origins.record(for: transaction.own, in: transaction.writer)
        stamp = max(transaction.origins.greatestStamp, try transaction.stampFloor())
        check = try ClockCheck(transaction.writer, now: transaction.now)
        builder = ChangeSetBuilder(tables: transaction.tables)
    }

    /// Seals everything there is, a chunk at a time.
    func sealAll() throws {
        while try !sealChunk() {}
    }

    /// Seals one bounded run of edits; true where none are left.
    func sealChunk(limit: Int = Limits.rowChanges) throws -> Bool {
        let chunk = try JournalReader.chunk(transaction.tables, limit: limit, writer)
        guard !chunk.entries.isEmpty else { return true }
        let (rows, stamps) = coalesce(chunk)
        let later = try laterWrites(chunk, rows)
        var writes: [RowWrite] = []
        for row in rows { try appendWrites(of: row, later: later[row.table], to: &writes) }
        writes.sort { $0.stamp < $1.stamp }
        try seal(writes, pauses: Self.pauses(before: writes, in: chunk, stamps))
        for (index, number) in chunk.lastNumbers.enumerated() {
            guard let number else { continue }
            try JournalRuns.advance(transaction.tables[index], to: number, in: writer)
        }
        return chunk.reachesEnd
    }

    // MARK: Coalescing: the last write of each register counts

    private struct PendingRow {
        let table: Int
        let id: RowID
        var existence: (kind: RowChangeKind, stamp: Stamp)?
        var fieldStamps: [Stamp?]
        /// The journal entry that keeps the values of a row deleted in this chunk.
        var deletion: Int64?
    }

    private struct RowKey: Hashable {
        let table: Int
        let id: RowID
    }

    /// - Returns: also the stamp of each entry.
    private func coalesce(_ chunk: JournalChunk) -> (rows: [PendingRow], stamps: [Stamp]) {
        var stamps: [Stamp] = []
        stamps.reserveCapacity(chunk.entries.count)
        var rows: [PendingRow] = []
        rows.reserveCapacity(chunk.entries.count)
        var index: [RowKey: Int] = [:]
        index.reserveCapacity(chunk.entries.count)
        for entry in chunk.entries {
            stamp = stamp.following(at: check.time(of: entry.at))
            stamps.append(stamp)
            let table = transaction.tables[entry.table]
            let key = RowKey(table: entry.table, id: entry.id)
            let place = index[key] ?? rows.count
            if place == rows.count {
                index[key] = place
                rows.append(
                    PendingRow(
                        table: entry.table, id: entry.id,
                        fieldStamps: [Stamp?](repeating: nil, count: table.fields.count)))
            }
            switch entry.operation {
            case .insert:
                rows[place].existence = (.insert, stamp)
                rows[place].deletion = nil
                rows[place].fieldStamps = [Stamp?](repeating: stamp, count: table.fields.count)
            case .update:
                for field in table.fields(touchedBy: entry.mask) { rows[place].fieldStamps[field] = stamp }
            case .delete:
                rows[place].existence = (.delete, stamp)
                rows[place].deletion = entry.n
            case .undelete:
                rows[place].existence = (.undelete, stamp)
                rows[place].deletion = nil
            case .overwritten: break
            }
        }
        return (rows, stamps)
    }

    /// For each write, the longest pause between the entries that lie between it and the write before it.
    private static func pauses(before writes: [RowWrite], in chunk: JournalChunk, _ stamps: [Stamp]) -> [Int64] {
        var entry = 0
        return writes.map { write in
            var longest: Int64 = 0
            while entry < stamps.count, stamps[entry] <= write.stamp {
                if entry > 0 { longest = max(longest, chunk.entries[entry].pause(since: chunk.entries[entry - 1])) }
                entry += 1
            }
            return longest
        }
    }

    private func laterWrites(_ chunk: JournalChunk, _ rows: [PendingRow]) throws -> [JournalReader.LaterWrites?] {
        var later = [JournalReader.LaterWrites?](repeating: nil, count: transaction.tables.count)
        guard !chunk.reachesEnd else { return later }
        for (index, table) in transaction.tables.enumerated() {
            guard let last = chunk.lastNumbers[index] else { continue }
            let ids = Set(rows.lazy.filter { $0.table == index }.map(\.id))
            later[index] = try JournalReader.laterWrites(to: ids, in: table, after: last, writer)
        }
        return later
    }

    // MARK: Row writes: what of one row carries one stamp

    private struct RowWrite {
        let table: Int
        let id: RowID
        let kind: RowChangeKind
        let stamp: Stamp
        /// Indices of fields, ascending.
        let fields: [Int]
        /// By column position; NULL stands for what was not written.
        let cells: [Cell]
        /// The journal entry that keeps what a delete moves to the graveyard; its values may be large, so they are read
        /// when their turn comes.
        var deletion: Int64?
    }

    private func appendWrites(of row: PendingRow, later: JournalReader.LaterWrites?, to writes: inout [RowWrite]) throws
    {
        if let later, later.replaced.contains(row.id), row.deletion == nil { return }
        let table = transaction.tables[row.table]
        var existence = row.existence
        var fieldStamps = row.fieldStamps
        let buried = try row.deletion.map { try JournalReader.oldValues(of: table, n: $0, writer) }
        let cells = try self.cells(of: row, table, buried, later)
        if cells == nil, existence?.kind != .delete {
            // Gone without a trace: some program deleted it with triggers switched off. The row is deleted here, so say so.
            existence = (.delete, fieldStamps.compactMap { $0 }.max() ?? existence?.stamp ?? stamp)
            fieldStamps = fieldStamps.map { _ in nil }
        }
        func write(_ kind: RowChangeKind, _ stamp: Stamp, fields: [Int]) -> RowWrite {
            RowWrite(table: row.table, id: row.id, kind: kind, stamp: stamp, fields: fields, cells: cells ?? [])
        }
        if let existence {
            let fields =
                existence.kind == .insert ? fieldStamps.indices.filter { fieldStamps[$0] == existence.stamp } : []
            var write = write(existence.kind, existence.stamp, fields: fields)
            if existence.kind == .delete { write.deletion = row.deletion }
            writes.append(write)
        }
        var written = existence.map { [$0.stamp] } ?? []
        for case let stamp? in fieldStamps where !written.contains(stamp) {
            written.append(stamp)
            writes.append(write(.update, stamp, fields: fieldStamps.indices.filter { fieldStamps[$0] == stamp }))
        }
    }

    /// The columns that were written, by position, at the end of the chunk or before the row's deletion; nil where there
    /// is no such row.
    private func cells(
        of row: PendingRow, _ table: CompiledTable, _ buried: [Value]?, _ later: JournalReader.LaterWrites?
    ) throws -> [Cell]? {
        func isWritten(_ position: Int) -> Bool { row.fieldStamps[table.fieldOfColumn[position]] != nil }
        if let buried {
            return buried.indices.map { isWritten($0) ? ChangeSetBuilder.cell(buried[$0]) : .inline(.null) }
        }
        let current = try transaction.store(table).cells(row.id, isWanted: isWritten)
        guard let places = later?.places[row.id] else { return current }
        var cells = current ?? [Cell](repeating: .inline(.null), count: table.columns.count)
        for n in Set(places.values) {
            let old = try JournalReader.oldValues(of: table, n: n, writer)
            for (position, place) in places where place == n { cells[position] = ChangeSetBuilder.cell(old[position]) }
        }
        return cells
    }

    // MARK: One row change, into the body and into the metadata

    /// Seals writes, ascending by stamp, into as few change sets as the limits allow, cut where the writer paused.
    private func seal(_ writes: [RowWrite], pauses: [Int64]) throws {
        let cells = writes.map { write in
            write.fields.flatMap { field in
                transaction.tables[write.table].fields[field].positions.map { write.cells[$0] }
            }
        }
        var start = 0
        while start < writes.count {
            var size = ChangeSetBuilder.Size()
            var end = start
            while end < writes.count, size.add(writes[end].id, cells[end]) { end += 1 }
            if end < writes.count { end = TransactionBorder.cut(in: start..<end) { pauses[$0] } }
            for index in start..<end { try seal(writes[index], cells[index]) }
            try flush()
            start = end
        }
    }

    private func seal(_ write: RowWrite, _ cells: [Cell]) throws {
        let table = transaction.tables[write.table]
        builder.add(
            table: write.table, kind: write.kind, id: write.id, stamp: write.stamp, fields: write.fields, cells: cells)
        let version = Version(stamp: write.stamp, origin: own.origin, sequence: own.applied.next)
        try record(write, version, table)
    }

    private func record(_ write: RowWrite, _ version: Version, _ table: CompiledTable) throws {
        let store = try transaction.store(table)
        let numbers = write.fields.map { table.fields[$0].number }
        if write.kind == .insert {
            let shape = try transaction.shapes.number(of: numbers, in: writer)
            if try store.insertRow(write.id, shape: shape, version: version) != nil { return }
        }
        let state = try store.findOrMake(write.id)
        if write.kind.writesExistence {
            try overwrite(CompiledField.existence, of: state, by: version, table, store)
        }
        for number in numbers { try overwrite(number, of: state, by: version, table, store) }
        switch write.kind {
        case .insert, .undelete:
            if !state.alive {
                try store.setAlive(true, row: state.row)
                try store.clearGrave(write.id)
            }
        case .delete:
            if state.alive { try store.setAlive(false, row: state.row) }
            let nothing = [Value](repeating: .null, count: table.columns.count)
            let buried = try write.deletion.map { try JournalReader.oldValues(of: table, n: $0, writer) }
            try store.buryValues(write.id, of: state, buried ?? nothing)
        case .update: break
        }
    }

    /// A local write has seen every write known: it wins, and every lost write of the register has a successor now.
    private func overwrite(
        _ field: Int64, of state: RowState, by version: Version, _ table: CompiledTable, _ store: TableStore
    ) throws {
        try store.addVersion(version, row: state.row, field: field)
        try transaction.noLongerAwait(table: table, row: state.row, field: field)
        for entry in try transaction.ledger.entries(table: table, row: state.row, field: field)
        where !entry.lost.hasSuccessor {
            var entry = entry
            entry.lost.hasSuccessor = true
            try transaction.ledger.update(entry) { _ in false }
        }
    }

    // MARK: A change set is full

    private func flush() throws {
        guard !builder.isEmpty else { return }
        let context = try contextChanges()
        let changeSet = builder.changeSet(
            origin: own.origin, sequence: own.applied.next, previous: own.digest, contextChanges: context,
            totalsBefore: own.totals)
        let body = ChangeSetCodec.encode(changeSet)
        // What peers refuse would stall this origin for good: better to fail here, with nothing signed.
        guard try ChangeSetCodec.decode(body) == changeSet else {
            throw ReplicaError.damaged("a change set being sealed")
        }
        let digest = SHA256.digest(body)
        let signature = ChangeSetSignature.sign(bodyDigest: digest, key: key)
        try transaction.origins.extendContext(of: own.number, at: own.applied.next, by: context, in: writer)
        try transaction.append(
            LoggedChangeSet(
                header: changeSet.header, body: body, digest: digest, signature: signature, receivedFrom: nil))
        own = try transaction.origins.record(for: own.origin, in: writer)
        report.changeSets += 1
        report.changes += changeSet.header.changes
        builder = ChangeSetBuilder(tables: transaction.tables)
    }

    private func contextChanges() throws -> VersionVector {
        var seen = transaction.origins.applied
        seen[own.origin] = .zero
        return seen.changes(since: try transaction.origins.context(of: own.number, writer))
    }
}
