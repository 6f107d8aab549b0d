// Files of the identity directory: written so that a crash leaves the old or the new, read only while they are private.
//
// Invariant: a file is whole and on disk before its name says so, and a private file is never open to others.

internal import COpenSSL
internal import Glibc

enum SecureFile {
    /// No file of the identity directory comes near this size; reading stops here.
    static let greatestBytes = 1 << 20

    /// Lends the bytes of a file that only this user can read, and wipes them afterwards.
    static func withPrivateContents<Result>(
        path: String, operation: String, _ body: (UnsafeRawBufferPointer) throws(TrustError) -> Result
    ) throws(TrustError) -> Result {
        let file = try open(path, O_RDONLY | O_NOFOLLOW, operation)
        defer { close(file) }
        let status = try checkedStatus(file, path, operation)
        try checkPrivate(status, path, operation, mode: "600")
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(status.st_size), alignment: 16)
        defer {
            OPENSSL_cleanse(buffer.baseAddress, buffer.count)
            buffer.deallocate()
        }
        let count = try fill(buffer, from: file, path, operation)
        return try body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
    }

    /// The bytes of a file that may be public.
    static func contents(path: String, operation: String) throws(TrustError) -> [UInt8] {
        let file = try open(path, O_RDONLY, operation)
        defer { close(file) }
        let status = try checkedStatus(file, path, operation)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(status.st_size), alignment: 16)
        defer { buffer.deallocate() }
        return Array(buffer[..<(try fill(buffer, from: file, path, operation))])
    }

    /// Writes a new file and syncs it and its directory.
    /// - Throws: `alreadyExists` rather than replace a file, even where two processes try at once.
    static func create(path: String, contents: UnsafeRawBufferPointer, mode: mode_t, operation: String)
        throws(TrustError)
    {
        let temporary = try writeTemporary(beside: path, contents, mode, operation)
        defer { unlink(temporary) }
        // A link fails where the name is taken; a rename would replace it.
        guard link(temporary, path) == 0 else { throw failure(operation, path) }
        try syncDirectory(of: path, operation)
    }

    /// Writes a file, in place of an older one if there is one, and syncs it and its directory.
    static func replace(path: String, contents: [UInt8], mode: mode_t, operation: String) throws(TrustError) {
        let temporary = try contents.withUnsafeBytes { bytes in
            Result { () throws(TrustError) in try writeTemporary(beside: path, bytes, mode, operation) }
        }.get()
        guard rename(temporary, path) == 0 else {
            let error = failure(operation, path)
            unlink(temporary)
            throw error
        }
        try syncDirectory(of: path, operation)
    }

    /// Makes a directory that only this user can enter.
    static func createDirectory(path: String, operation: String) throws(TrustError) {
        guard mkdir(path, 0o700) == 0, chmod(path, 0o700) == 0 else { throw failure(operation, path) }
        try syncDirectory(of: path, operation)
    }

    /// Throws unless `path` is a directory of this user that nobody else can enter.
    static func checkPrivateDirectory(path: String, operation: String) throws(TrustError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw failure(operation, path) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw TrustError(
                .malformed, operation, path, cause: "it is not a directory", nextStep: "move it away, or name another")
        }
        try checkPrivate(status, path, operation, mode: "700")
    }

    /// Gives a directory its name, which must be free or an empty directory's.
    static func moveDirectory(_ path: String, to name: String, operation: String) throws(TrustError) {
        guard rename(path, name) == 0 else { throw failure(operation, name) }
        try syncDirectory(of: name, operation)
    }

    /// Removes a directory of plain files, as far as that goes.
    static func removeDirectory(_ path: String) {
        for name in (try? names(inDirectory: path, operation: "remove")) ?? [] { unlink(path + "/" + name) }
        rmdir(path)
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The names in a directory, sorted, without "." and "..".
    static func names(inDirectory path: String, operation: String) throws(TrustError) -> [String] {
        guard let directory = opendir(path) else { throw failure(operation, path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// What the last system call's `errno` means for `path`.
    static func failure(_ operation: String, _ path: String) -> TrustError {
        let number = errno
        let cause = String(cString: strerror(number))
        switch number {
        case ENOENT:
            return TrustError(
                .notFound, operation, path, cause: "there is no such file",
                nextStep: "check --data, or make the node with `syncnode init` or `syncnode join`")
        case EEXIST, ENOTEMPTY:
            return TrustError(
                .alreadyExists, operation, path, cause: "it exists already",
                nextStep: "it is left as it was; name another, or move it away if it is not needed")
        case ELOOP:
            return TrustError(
                .exposedFile, operation, path, cause: "it is a symbolic link",
                nextStep: "put the file itself there, so that its owner and mode can be checked")
        default:
            return TrustError(
                .inputOutput, operation, path, cause: cause, nextStep: "check the disk and the permissions")
        }
    }

    static func syncDirectory(of path: String, _ operation: String) throws(TrustError) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = try open(parent, O_RDONLY | O_DIRECTORY, operation)
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure(operation, parent) }
    }

    private static func open(_ path: String, _ flags: Int32, _ operation: String) throws(TrustError) -> Int32 {
        // Without O_NONBLOCK a FIFO in the file's place would stop the program here.
        let file = Glibc.open(path, flags | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw failure(operation, path) }
        return file
    }

    private static func checkedStatus(_ file: Int32, _ path: String, _ operation: String) throws(TrustError) -> stat {
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure(operation, path) }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= greatestBytes else {
            throw TrustError(
                .malformed, operation, path, cause: "it is not a plain file of at most 1 MiB",
                nextStep: "check that the right file is named")
        }
        return status
    }

    private static func checkPrivate(_ status: stat, _ path: String, _ operation: String, mode: String)
        throws(TrustError)
    {
        guard status.st_uid == geteuid() else {
            throw TrustError(
                .exposedFile, operation, path,
                cause: "it belongs to user \(status.st_uid), and this program runs as user \(geteuid())",
                nextStep: "run as its owner, or run: chown \(geteuid()) '\(path)'")
        }
        guard status.st_mode & 0o077 == 0 else {
            let present = String(status.st_mode & 0o777, radix: 8)
            throw TrustError(
                .exposedFile, operation, path, cause: "its mode \(present) lets other users in",
                nextStep: "run: chmod \(mode) '\(path)'")
        }
    }

    private static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, from file: Int32, _ path: String, _ operation: String
    ) throws(TrustError) -> Int {
        var count = 0
        while count < buffer.count {
            let part = read(file, buffer.baseAddress.map { $0 + count }, buffer.count - count)
            if part < 0 && errno == EINTR { continue }
            guard part >= 0 else { throw failure(operation, path) }
            if part == 0 { break }
            count += part
        }
        return count
    }

    private static func writeTemporary(
        beside path: String, _ contents: UnsafeRawBufferPointer, _ mode: mode_t, _ operation: String
    ) throws(TrustError) -> String {
        let temporary = path + ".new-" + Hexadecimal.encode(SecureRandom.bytes(8))
        let file = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure(operation, temporary) }
        var written = 0
        while written < contents.count {
            let part = write(file, contents.baseAddress.map { $0 + written }, contents.count - written)
            if part < 0 && errno == EINTR { continue }
            if part <= 0 { break }
            written += part
        }
        // Whatever the umask was.
        let complete = written == contents.count && fchmod(file, mode) == 0 && fsync(file) == 0
        let error = complete ? nil : failure(operation, temporary)
        close(file)
        if let error {
            unlink(temporary)
            throw error
        }
        return temporary
    }
}
