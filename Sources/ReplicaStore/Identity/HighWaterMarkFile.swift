// The high-water mark in a file of the identity directory.
//
// Invariant: whenever the power goes, the file reads as the mark before the write or after it, or as damaged; and a copy
// of it, restored or carried to another machine, reads as one.

internal import CLinux
internal import Glibc
public import ReplicationModel
internal import Trust

/// `identity/high-water-mark`: two slots of 512 bytes, written in turn and in place, so that moving the mark on costs one
/// `fdatasync` (4 ms where a new file under the old name costs 10). The file says when it was made and on which
/// machine, and so is known for a copy when it is one.
public struct HighWaterMarkFile: HighWaterMarkStorage {
    /// The file itself.
    public let path: String
    private let node: NodeID
    private let machine: MachineID

    /// - Parameters:
    ///   - directory: the identity directory.
    ///   - machine: this machine, unless a test plays another.
    public init(directory: String, node: NodeID, machine: MachineID = .current) {
        path = directory + "/high-water-mark"
        self.node = node
        self.machine = machine
    }

    public func read() throws -> HighWaterReading {
        guard let file = try open(O_RDONLY) else { return .absent }
        defer { close(file) }
        try lock(file, LOCK_SH)
        return try contents(file).reading
    }

    public func update(_ body: (HighWaterReading) throws -> HighWaterMark?) throws { try update(synced: true, body) }

    public func updateUnsynced(_ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        try update(synced: false, body)
    }

    private func update(synced: Bool, _ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        guard let file = try openCurrent() else {
            if let mark = try body(.absent) { try replace(with: mark) }
            return
        }
        defer { close(file) }
        let present = try contents(file)
        guard let mark = try body(present.reading) else { return }
        // Where the origin changes, or anything is wrong with the file, a new one takes its place.
        guard case .mark(let known) = present.reading, known.origin == mark.origin else {
            return try replace(with: mark)
        }
        let generation = present.generation + 1
        let slot = Slot(mark: mark, generation: generation, birth: present.birth, machine: machineDigest).bytes
        let place = off_t(generation % 2) * off_t(Slot.byteCount)
        guard pwrite(file, slot, slot.count, place) == slot.count, !synced || fdatasync(file) == 0 else {
            throw failure("write")
        }
    }

    private var machineDigest: String { machine.digest(for: node) }

    // MARK: The file

    private func open(_ flags: Int32) throws -> Int32? {
        let file = Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if file < 0, errno == ENOENT { return nil }
        guard file >= 0 else { throw failure("open") }
        return file
    }

    private func lock(_ file: Int32, _ kind: Int32) throws {
        while flock(file, kind) != 0 { guard errno == EINTR else { throw failure("lock") } }
    }

    /// Opens and locks the file that the name stands for: another process may have put a new one there meanwhile.
    private func openCurrent() throws -> Int32? {
        while true {
            guard let file = try open(O_RDWR) else { return nil }
            do {
                try lock(file, LOCK_EX)
                var (held, named) = (stat(), stat())
                guard fstat(file, &held) == 0 else { throw failure("look at") }
                if stat(path, &named) == 0, held.st_ino == named.st_ino, held.st_dev == named.st_dev { return file }
            } catch {
                close(file)
                throw error
            }
            close(file)
        }
    }

    private struct Contents {
        var reading: HighWaterReading
        var generation: UInt64 = 0
        var birth: Int64 = 0
    }

    private func contents(_ file: Int32) throws -> Contents {
        var bytes = [UInt8](repeating: 0, count: Slot.byteCount * 2 + 1)
        let count = pread(file, &bytes, bytes.count, 0)
        guard count >= 0 else { throw failure("read") }
        guard count == Slot.byteCount * 2 else {
            return Contents(reading: .damaged(cause: "it is \(count) bytes long and not \(Slot.byteCount * 2)"))
        }
        let slots = [bytes[..<Slot.byteCount], bytes[Slot.byteCount..<Slot.byteCount * 2]].map { Slot($0) }
        // One slot is written at a time. A torn one was being written: what stands in the other may be one change set too
        // old, and a mark that may be too old is none.
        guard let first = slots[0], let second = slots[1] else {
            return Contents(reading: .damaged(cause: "a checksum is wrong"))
        }
        let newest = first.generation > second.generation ? first : second
        let birth = syncnode_birth_nanoseconds(file)
        var cause: String?
        if newest.mark.origin.node != node { cause = "it is another node's" }
        if newest.birth != birth { cause = "the file was copied or restored" }
        if newest.machine != machineDigest, ![newest.machine, machineDigest].contains(MachineID.none) {
            cause = "it was written on another machine"
        }
        return Contents(
            reading: cause.map { .copied(cause: $0, newest.mark) } ?? .mark(newest.mark), generation: newest.generation,
            birth: birth)
    }

    /// Puts a new file in the old one's place, if there is one.
    private func replace(with mark: HighWaterMark) throws {
        let temporary = path + ".new-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        let file = Glibc.open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw failure("make") }
        defer {
            close(file)
            unlink(temporary)
        }
        let birth = syncnode_birth_nanoseconds(file)
        let slots = (UInt64(0)...1).flatMap {
            Slot(mark: mark, generation: $0, birth: birth, machine: machineDigest).bytes
        }
        guard write(file, slots, slots.count) == slots.count, fsync(file) == 0, rename(temporary, path) == 0 else {
            throw failure("write")
        }
        try syncDirectory()
    }

    private func syncDirectory() throws {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let directory = Glibc.open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failure("sync the directory of") }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure("sync the directory of") }
    }

    private func failure(_ operation: String) -> ReplicaError {
        let cause = String(cString: strerror(errno))
        return ReplicaError(
            .inputOutput,
            "Cannot \(operation) \(path): \(cause). Nothing is sent that this file does not vouch for: check the disk and the permissions, and try again."
        )
    }
}

/// One of the two slots: six lines, the last a checksum over those before it, filled up with spaces and a line end.
private struct Slot {
    static let byteCount = 512
    private static let magic = "syncnode high-water mark 1"
    let mark: HighWaterMark
    let generation: UInt64
    /// When the file was made, by the file system; 0 where it does not keep that.
    let birth: Int64
    let machine: String

    init(mark: HighWaterMark, generation: UInt64, birth: Int64, machine: String) {
        self.mark = mark
        self.generation = generation
        self.birth = birth
        self.machine = machine
    }

    var bytes: [UInt8] {
        let text = """
            \(Self.magic)
            \(mark.origin) \(mark.sequence) \(mark.lastStamp.rawValue)
            \(mark.digest)
            \(generation) \(birth)
            \(machine)

            """
        let line = Array((text + Self.checksum(text) + "\n").utf8)
        return line + [UInt8](repeating: UInt8(ascii: " "), count: Self.byteCount - line.count - 1) + [10]
    }

    init?(_ bytes: ArraySlice<UInt8>) {
        let text = String(decoding: bytes, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 6, lines[0] == Self.magic else { return nil }
        let signed = lines[..<5].joined(separator: "\n") + "\n"
        guard lines[5] == Self.checksum(signed) else { return nil }
        let (where_, when) = (lines[1].split(separator: " "), lines[3].split(separator: " "))
        guard where_.count == 3, when.count == 2, let origin = Origin(String(where_[0])),
            let sequence = UInt64(where_[1]), let stamp = Int64(where_[2]).flatMap({ Stamp(rawValue: $0) }),
            let first = Identifier128(lines[2].prefix(32)), let second = Identifier128(lines[2].dropFirst(32)),
            let generation = UInt64(when[0]), let birth = Int64(when[1])
        else { return nil }
        mark = HighWaterMark(
            origin: origin, sequence: SequenceNumber(sequence), digest: Digest(first: first, second: second),
            lastStamp: stamp)
        self.generation = generation
        self.birth = birth
        machine = String(lines[4])
    }

    private static func checksum(_ text: String) -> String { SHA256.digest(Array(text.utf8)).first.description }
}
