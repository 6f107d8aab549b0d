// Files that the user names.

import Foundation

enum Files {
    /// A request or certificate: small.
    private static let limit = 16 << 20

    static func read(_ path: String) throws -> [UInt8] {
        func unreadable(_ cause: String) -> CommandFailure {
            CommandFailure(.noInput, "Cannot read \(path): \(cause). Check the name and its permissions.")
        }
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw unreadable(String(cString: strerror(errno)))
        }
        let data: Data
        do {
            data = try handle.read(upToCount: limit + 1) ?? Data()
        } catch {
            // Opening a directory succeeds.
            var isDirectory: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
            throw unreadable(isDirectory.boolValue ? "it is a directory" : error.localizedDescription)
        }
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
