// Files that the user names.

import Foundation

enum Files {
    /// A request or certificate: small.
    private static let limit = 16 << 20

    static func read(_ path: String) throws -> [UInt8] {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw CommandFailure(
                .noInput,
                "Cannot read \(path): \(String(cString: strerror(errno))). Check the name and its permissions.")
        }
        let data = try handle.read(upToCount: limit + 1) ?? Data()
        guard data.count <= limit else {
            throw CommandFailure(
                .badData,
                "Cannot read \(path): it is longer than any such file, \(limit) bytes. Check which file was named.")
        }
        return Array(data)
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CommandFailure(.inputOutput, "Cannot write \(path): \(error.localizedDescription)")
        }
    }
}

extension Files {
    /// Bytes of a file; 0 where it cannot be told.
    static func size(_ path: String) -> UInt64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
    }
}
