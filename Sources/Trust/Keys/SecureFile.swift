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

    // MARK: One at a time

    /// Runs `body` while no other process, and no other thread of this one, does so for the same directory. The system takes
    /// the lock back when its holder ends, however that was. Whoever has it must not ask for it again.
    static func whileLocked<Result>(
        directory path: String, operation: String, _ body: () throws(TrustError) -> Result
    ) throws(TrustError) -> Result {
        let file = try lock(directory: path, operation: operation)
        defer { close(file) }
        return try body()
    }

    /// The same, for a body that may fail in other ways.
    static func whileLocked<Result>(
        directory path: String, operation: String, anyway body: () throws -> Result
    ) throws -> Result {
        let file = try lock(directory: path, operation: operation)
        defer { close(file) }
        return try body()
    }

    /// - Returns: what is to be closed afterwards.
    private static func lock(directory path: String, operation: String) throws(TrustError) -> Int32 {
        let file = try open(path, O_RDONLY | O_DIRECTORY, operation)
        while flock(file, LOCK_EX) != 0 {
            guard errno == EINTR else {
                let error = failure(operation, path)
                close(file)
                throw error
            }
        }
        return file
    }

    /// Removes the unfinished files that a program which broke off left in a directory, private keys among them: those of
    /// this user whose names `writeTemporary` made for one of the names that `isOurs` knows. The directory is locked, and who
    /// writes such files holds that lock. Where one cannot be removed, it stays.
    static func removeUnfinishedFiles(in directory: String, of isOurs: (String) -> Bool) {
        for name in (try? names(inDirectory: directory, operation: "tidy")) ?? [] {
            let path = directory + "/" + name
            guard let whole = wholeName(ofUnfinished: name), isOurs(whole), isOwn(path, S_IFREG) else { continue }
            unlink(path)
        }
    }

    /// The same for unfinished directories beside `path`, where everything in them is a file that `isOurs` knows, finished or
    /// not. The directory above is locked.
    static func removeUnfinishedDirectories(beside path: String, holding isOurs: (String) -> Bool) {
        let parent = directory(of: path)
        let wanted = path.split(separator: "/").last.map(String.init)
        for name in (try? names(inDirectory: parent, operation: "tidy")) ?? []
        where wholeName(ofUnfinished: name) == wanted {
            let unfinished = parent + "/" + name
            guard isOwn(unfinished, S_IFDIR), let files = try? names(inDirectory: unfinished, operation: "tidy"),
                files.allSatisfy({ isOurs(wholeName(ofUnfinished: $0) ?? $0) && isOwn(unfinished + "/" + $0, S_IFREG) })
            else { continue }
            removeDirectory(unfinished)
        }
    }

    private static func unfinishedName(_ path: String) -> String {
        path + unfinishedMark + Hexadecimal.encode(SecureRandom.bytes(unfinishedDigits / 2))
    }

    /// The name that a file or directory of this name was to get; nil where it is none that `unfinishedName` made.
    private static func wholeName(ofUnfinished name: String) -> String? {
        let (digits, rest) = (name.utf8.suffix(unfinishedDigits), name.utf8.dropLast(unfinishedDigits))
        guard digits.count == unfinishedDigits, digits.allSatisfy({ "0123456789abcdef".utf8.contains($0) }),
            rest.suffix(unfinishedMark.utf8.count).elementsEqual(unfinishedMark.utf8)
        else { return nil }
        return String(rest.dropLast(unfinishedMark.utf8.count))
    }

    private static let unfinishedMark = ".new-"
    private static let unfinishedDigits = 16

    /// Whether it is of this kind, and this user's; a link is neither file nor directory.
    private static func isOwn(_ path: String, _ kind: mode_t) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == kind && status.st_uid == geteuid()
    }

    /// Makes a directory beside `path` that only this user can enter, to be filled and given that name.
    static func createUnfinishedDirectory(beside path: String, operation: String) throws(TrustError) -> String {
        let unfinished = unfinishedName(path)
        try createDirectory(path: unfinished, operation: operation)
        return unfinished
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
        let parent = directory(of: path)
        let directory = try open(parent, O_RDONLY | O_DIRECTORY, operation)
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure(operation, parent) }
    }

    /// The directory that something is in.
    static func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
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
        let temporary = unfinishedName(path)
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
