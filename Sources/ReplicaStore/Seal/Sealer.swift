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
    /// The cells of the chunk that is being sealed.
    private var encoder = CellEncoder()
    /// By index in the transaction's tables.
    private var stores: [TableStore?]
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
        stores = transaction.tables.map { _ in nil }
    }

    /// Seals everything there is, a chunk at a time.
    func sealAll() throws {
        while try !sealChunk() {}
    }

    /// Seals one bounded run of edits; true where none are left.
    func sealChunk(limit: Int = Limits.rowChanges) throws -> Bool {
        let chunk = try JournalReader.chunk(transaction.tables, limit: limit, writer)
        guard !chunk.entries.isEmpty else { return true }
        encoder = CellEncoder()
        var rows = PendingRows(tables: transaction.tables, capacity: chunk.entries.count)
        var stamps: [Stamp] = []
        stamps.reserveCapacity(chunk.entries.count)
        for entry in chunk.entries {
            stamp = stamp.following(at: check.time(of: entry.at))
            stamps.append(stamp)
            rows.add(entry, at: stamp)
        }
        let later = try laterWrites(chunk, rows)
        var writes: [RowWrite] = []
        writes.reserveCapacity(rows.rows.count)
        for row in rows.rows { try appendWrites(of: row, rows, later: later[row.table], to: &writes) }
        // Where no row was written twice they are in order already.
        if zip(writes, writes.dropFirst()).contains(where: { $0.stamp > $1.stamp }) {
            writes.sort { $0.stamp < $1.stamp }
        }
        try seal(writes, pauses: Self.pauses(before: writes, in: chunk, stamps))
        for (index, number) in chunk.lastNumbers.enumerated() {
            guard let number else { continue }
            try JournalRuns.advance(transaction.tables[index], to: number, in: writer)
        }
        return chunk.reachesEnd
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

    private func laterWrites(_ chunk: JournalChunk, _ rows: PendingRows) throws -> [JournalReader.LaterWrites?] {
        var later = [JournalReader.LaterWrites?](repeating: nil, count: transaction.tables.count)
        guard !chunk.reachesEnd else { return later }
        for (index, table) in transaction.tables.enumerated() {
            guard let last = chunk.lastNumbers[index] else { continue }
            let ids = Set(rows.rows.lazy.filter { $0.table == index }.map(\.id))
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
        /// Bit n: field n of the table.
        let fields: UInt64
        var cells: EncodedCells
        /// The journal entry that keeps what a delete moves to the graveyard; its values may be large, so they are read
        /// when their turn comes.
        var deletion: Int64?
    }

    private func appendWrites(
        of row: PendingRow, _ rows: PendingRows, later: JournalReader.LaterWrites?, to writes: inout [RowWrite]
    ) throws {
        if let later, later.replaced.contains(row.id), row.deletion == nil { return }
        let table = transaction.tables[row.table]
        let first = writes.count
        appendWrites(of: row, rows.stamps(of: row), to: &writes)
        if let deletion = row.deletion {
            let buried = try JournalReader.oldValues(of: table, n: deletion, writer)
            encode(writes[first...].indices, of: &writes, table) { encoder.append(buried[$0], to: &$1) }
            return
        }
        let store = try store(row.table)
        if let places = later?.places[row.id] {
            var values = try store.values(row.id, alive: true) ?? table.columns.map { _ in .null }
            for n in Set(places.values) {
                let old = try JournalReader.oldValues(of: table, n: n, writer)
                for (position, place) in places where place == n { values[position] = old[position] }
            }
            encode(writes[first...].indices, of: &writes, table) { encoder.append(values[$0], to: &$1) }
            return
        }
        let isThere: Void? = try store.withRow(row.id) { statement in
            encode(writes[first...].indices, of: &writes, table) {
                encoder.append(Int32($0 + 1), of: statement, to: &$1)
            }
        }
        guard isThere == nil else { return }
        // Gone without a trace: some program deleted it with triggers switched off. The row is deleted here, so say so.
        writes.removeSubrange(first...)
        let gone = rows.stamps(of: row).max() ?? .zero
        writes.append(
            RowWrite(
                table: row.table, id: row.id, kind: .delete, stamp: gone > .zero ? gone : row.existence?.stamp ?? stamp,
                fields: 0, cells: EncodedCells(range: 0..<0)))
    }

    /// - Parameter fieldStamps: one a field, zero where it was not written.
    private func appendWrites(of row: PendingRow, _ fieldStamps: ArraySlice<Stamp>, to writes: inout [RowWrite]) {
        func write(_ kind: RowChangeKind, _ stamp: Stamp, _ fields: UInt64) -> RowWrite {
            RowWrite(
                table: row.table, id: row.id, kind: kind, stamp: stamp, fields: fields,
                cells: EncodedCells(range: 0..<0))
        }
        func fields(at stamp: Stamp) -> UInt64 {
            var fields: UInt64 = 0
            for (field, other) in fieldStamps.enumerated() where other == stamp { fields |= 1 << UInt64(field) }
            return fields
        }
        var rest: UInt64 = 0
        for (field, stamp) in fieldStamps.enumerated() where stamp > .zero { rest |= 1 << UInt64(field) }
        if let existence = row.existence {
            let written = existence.kind == .insert ? fields(at: existence.stamp) : 0
            rest &= ~written
            var write = write(existence.kind, existence.stamp, written)
            if existence.kind == .delete { write.deletion = row.deletion }
            writes.append(write)
        }
        while rest != 0 {
            let stamp = fieldStamps[fieldStamps.startIndex + rest.trailingZeroBitCount]
            let written = fields(at: stamp)
            rest &= ~written
            writes.append(write(.update, stamp, written))
        }
    }

    /// Encodes the cells of one row's writes.
    ///
    /// - Parameter append: encodes the column at a position.
    private func encode(
        _ places: Range<Int>, of writes: inout [RowWrite], _ table: CompiledTable,
        _ append: (Int, inout EncodedCells) -> Void
    ) {
        for place in places {
            writes[place].cells.range = encoder.byteCount..<encoder.byteCount
            var rest = writes[place].fields
            while rest != 0 {
                for position in table.fields[rest.trailingZeroBitCount].positions {
                    append(position, &writes[place].cells)
                }
                rest &= rest - 1
            }
        }
    }

    // MARK: One row change, into the body and into the metadata

    private func store(_ table: Int) throws -> TableStore {
        if let store = stores[table] { return store }
        let store = try transaction.store(transaction.tables[table])
        stores[table] = store
        return store
    }

    /// Seals writes, ascending by stamp, into as few change sets as the limits allow, cut where the writer paused.
    private func seal(_ writes: [RowWrite], pauses: [Int64]) throws {
        var start = 0
        while start < writes.count {
            var size = ChangeSetBuilder.Size()
            var end = start
            while end < writes.count, size.add(writes[end].id, writes[end].cells) { end += 1 }
            if end < writes.count { end = TransactionBorder.cut(in: start..<end) { pauses[$0] } }
            for index in start..<end { try seal(writes[index]) }
            try flush()
            start = end
        }
    }

    private func seal(_ write: RowWrite) throws {
        builder.add(
            table: write.table, kind: write.kind, id: write.id, stamp: write.stamp, fields: write.fields,
            cells: write.cells)
        try record(write, Version(stamp: write.stamp, origin: own.origin, sequence: own.applied.next))
    }

    private func record(_ write: RowWrite, _ version: Version) throws {
        let table = transaction.tables[write.table]
        let store = try store(write.table)
        if write.kind == .insert {
            let shape = try transaction.shapes.number(of: write.fields, table, in: writer)
            if try store.insertRow(write.id, shape: shape, version: version) != nil { return }
        }
        let state = try store.findOrMake(write.id)
        if write.kind.writesExistence {
            try overwrite(CompiledField.existence, of: state, by: version, table, store)
        }
        var rest = write.fields
        while rest != 0 {
            let field = table.fields[rest.trailingZeroBitCount]
            try overwrite(field.number, of: state, by: version, table, store)
            try transaction.settleIn(field, row: state.row, table)
            rest &= rest - 1
        }
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
        let (header, body) = builder.changeSet(
            origin: own.origin, sequence: own.applied.next, previous: own.digest, contextChanges: context,
            totalsBefore: own.totals, encoder: encoder)
        // What peers refuse would stall this origin for good: better to fail here, with nothing signed.
        do {
            guard try ChangeSetCodec.check(body) == header else {
                throw ReplicaError.damaged("a change set being sealed")
            }
        } catch let error as ChangeSetFormatError {
            throw ReplicaError.damaged("an edit that is to be sealed (\(error))")
        }
        let digest = SHA256.digest(body)
        let signature = ChangeSetSignature.sign(bodyDigest: digest, key: key)
        try transaction.origins.extendContext(of: own.number, at: own.applied.next, by: context, in: writer)
        try transaction.append(
            LoggedChangeSet(
                header: header, body: body, digest: digest, signature: signature, receivedFrom: nil))
        own = try transaction.origins.record(for: own.origin, in: writer)
        report.changeSets += 1
        report.changes += header.changes
        builder = ChangeSetBuilder(tables: transaction.tables)
    }

    private func contextChanges() throws -> VersionVector {
        var seen = transaction.origins.applied
        seen[own.origin] = .zero
        return seen.changes(since: try transaction.origins.context(of: own.number, writer))
    }
}
