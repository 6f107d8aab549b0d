// The bytes of a virtual file: memory that grows, and is copied a block at a time, in builds for debugging too.
//
// Invariant: bytes beyond those ever written are zero.

internal import Glibc

final class FileBytes {
    private var start: UnsafeMutableRawPointer?
    private var capacity = 0
    private(set) var count = 0

    init() {}

    init(_ bytes: UnsafeRawBufferPointer) { write(bytes, at: 0) }

    deinit { start?.deallocate() }

    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }
    var copy: FileBytes { FileBytes(buffer) }
    var array: [UInt8] { [UInt8](buffer) }

    func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        guard let base = source.baseAddress, source.count > 0 else { return }
        grow(to: offset + source.count)
        start.map { ($0 + offset).copyMemory(from: base, byteCount: source.count) }
    }

    /// Cuts it off, or lengthens it with zeros.
    func truncate(to size: Int) {
        if size < count, let start {
            memset(start + size, 0, count - size)
        }
        grow(to: size)
        count = size
    }

    private func grow(to size: Int) {
        if size > capacity {
            let larger = max(size, 2 * capacity)
            let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
            if let start { memory.copyMemory(from: start, byteCount: count) }
            memset(memory + count, 0, larger - count)
            start?.deallocate()
            start = memory
            capacity = larger
        }
        count = max(count, size)
    }
}
