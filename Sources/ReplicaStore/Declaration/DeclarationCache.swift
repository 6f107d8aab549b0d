// The declarations of a replica as this process last read them: every transaction needs them, and they hardly ever change.
//
// Invariant: what is given is what stands in the file. It is kept under SQLite's schema version and the mark of what was
// declared, which between them change with every declaration, and only where it was read from a committed state.

internal import ReplicationModel
internal import Synchronization

final class DeclarationCache: Sendable {
    private struct Known {
        let schemaVersion: Int64?
        let mark: Value?
        let tables: [CompiledTable]
    }

    private let known = Mutex<Known?>(nil)

    func tables(_ reader: Reader) throws -> [CompiledTable] {
        let schemaVersion = try reader.integer("PRAGMA schema_version")
        let mark = try Settings.value("declared", reader)
        if let known = known.withLock({ $0 }), known.schemaVersion == schemaVersion, known.mark == mark {
            return known.tables
        }
        let tables = try Declaration.read(reader)
        // A transaction that writes may be the one that declares, and may yet be rolled back.
        if !(reader is Writer) {
            known.withLock { $0 = Known(schemaVersion: schemaVersion, mark: mark, tables: tables) }
        }
        return tables
    }
}
