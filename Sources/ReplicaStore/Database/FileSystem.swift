// The few questions this target asks of the file system.

internal import Foundation

enum FileSystem {
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Makes an empty file that only this user may read or write; SQLite fills it, and gives its log the same mode. Where it
    /// cannot be made, SQLite says why.
    static func createPrivate(_ path: String) {
        _ = FileManager.default.createFile(
            atPath: path, contents: nil, attributes: [.posixPermissions: NSNumber(value: 0o600)])
    }

    static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    /// Bytes of a file; 0 where there is none.
    static func size(_ path: String) -> UInt64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
    }
}
