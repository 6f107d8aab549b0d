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
        // Opening a directory succeeds.
        guard !isDirectory(path) else { throw unreadable("it is a directory") }
        let data: Data
        do {
            data = try handle.read(upToCount: limit + 1) ?? Data()
        } catch {
            throw unreadable(String(cString: strerror(errno)))
        }
        guard data.count <= limit else {
            throw CommandFailure(
                .badData,
                "Cannot read \(path): it is longer than any such file, \(limit) bytes. Check which file was named.")
        }
        return Array(data)
    }

    /// Throws unless a file of this kind can be written there: what is done before the file is written cannot be taken back. A
    /// file that is there may only be an earlier one of the same kind, as a command that is repeated leaves it.
    ///
    /// - Parameter label: of its first PEM block.
    static func checkMayWrite(_ label: String, to path: String) throws {
        guard !path.isEmpty, !path.hasSuffix("/") else {
            throw CommandFailure(.usage, "Cannot write “\(path)”: it names no file. Name one.")
        }
        let directory = Self.directory(of: path)
        guard access(directory, W_OK | X_OK) == 0 else {
            throw unwritable(path, "\(directory): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else { throw unwritable(path, String(cString: strerror(errno))) }
            return
        }
        // Anything but a plain file is not opened: a pipe would wait for a writer.
        let beginning = Data("-----BEGIN \(label)-----".utf8)
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            let handle = FileHandle(forReadingAtPath: path),
            let present = try? handle.read(upToCount: beginning.count), present == beginning
        else {
            throw CommandFailure(.usage, "Cannot write \(path): there is a file already; choose another name.")
        }
    }

    /// Writes all of it, or leaves what was there.
    static func write(_ bytes: [UInt8], to path: String) throws {
        let part = "\(directory(of: path))/.syncnode-\(getpid()).part"
        let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw unwritable(path, String(cString: strerror(errno))) }
        var code = Terminal.write(Data(bytes), to: descriptor)
        if code == 0, fsync(descriptor) != 0 { code = errno }
        if close(descriptor) != 0, code == 0 { code = errno }
        if code == 0, rename(part, path) != 0 { code = errno }
        guard code == 0 else {
            unlink(part)
            throw unwritable(path, String(cString: strerror(code)))
        }
    }

    private static func directory(of path: String) -> String {
        URL(fileURLWithPath: path).deletingLastPathComponent().path
    }

    private static func unwritable(_ path: String, _ cause: String) -> CommandFailure {
        CommandFailure(
            .inputOutput,
            "Cannot write \(path): \(cause). Choose a place that is there, that has room, and that you may write to.")
    }
}

extension Files {
    static func isDirectory(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    }

    /// Bytes of a file; 0 where it cannot be told.
    static func size(_ path: String) -> UInt64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
    }
}
