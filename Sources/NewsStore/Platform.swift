// The three things the news store asks of the system: the time, a file's bytes, an error's name.
//
// Invariant: reads are bounded by the caller's buffer; nothing here keeps a file open past its owner.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Milliseconds since 1970 by the wall clock.
func wallClockMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

/// A file open for reading, closed with its last owner.
final class InputFile {
    private let descriptor: Int32
    private let path: String
    private let closes: Bool

    init(path: String) throws(NewsError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        closes = true
        guard descriptor >= 0 else {
            let missing = errno == ENOENT || errno == ENOTDIR
            throw NewsError(
                missing || errno == EACCES ? .notFound : .inputOutput, operation: "import", object: path,
                cause: "it cannot be opened: \(String(cString: strerror(errno)))",
                nextStep: missing ? "Check the path." : "Check that you may read it.")
        }
        var about = stat()
        if fstat(descriptor, &about) == 0, about.st_mode & S_IFMT == S_IFDIR {
            throw NewsError(
                .notFound, operation: "import", object: path, cause: "it is a directory, not a file",
                nextStep: "Name the files in it, for instance \(path)/*.txt")
        }
    }

    /// Standard input, which stays open.
    init() {
        path = "standard input"
        descriptor = 0
        closes = false
    }

    deinit { if closes && descriptor >= 0 { close(descriptor) } }

    /// Up to 256 KiB; nil at the end.
    func read() throws(NewsError) -> [UInt8]? {
        while true {
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: 256 << 10) { buffer, used in
                count = systemRead(descriptor, buffer.baseAddress, buffer.count)
                used = max(0, count)
            }
            if count > 0 { return bytes }
            if count == 0 { return nil }
            if errno == EINTR { continue }
            throw NewsError(
                .inputOutput, operation: "import", object: path,
                cause: "reading failed: \(String(cString: strerror(errno)))",
                nextStep: "Check the disk, then try again.")
        }
    }
}

private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    guard let buffer else { return 0 }
    return read(descriptor, buffer, count)
}
