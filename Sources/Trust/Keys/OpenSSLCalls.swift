// How this target calls OpenSSL: its error queue, and one owner for every pointer.
//
// Invariant: the calling thread's error queue is empty before a call and after it.

internal import COpenSSL

enum OpenSSL {
    /// Empties the error queue of this thread and gives back what stood in it, oldest first.
    static func drainErrors() -> [(code: UInt, text: String)] {
        var errors: [(code: UInt, text: String)] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { return errors }
            var buffer = [CChar](repeating: 0, count: 256)
            ERR_error_string_n(code, &buffer, buffer.count)
            let text = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            errors.append((UInt(code), String(decoding: text, as: UTF8.self)))
        }
    }

    /// Runs one use of OpenSSL with a clean queue before and after; what it left there is dropped.
    static func call<Result: ~Copyable>(_ body: () -> Result) -> Result {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return body()
    }

    /// A failure that only exhausted memory or a damaged library can cause.
    static func broken(_ operation: String) -> Never {
        let detail = drainErrors().map(\.text).joined(separator: ", ")
        preconditionFailure("OpenSSL cannot \(operation) (out of memory?): \(detail)")
    }

    /// SHA-256, fetched once: fetching by name costs more than digesting 1 KiB.
    nonisolated(unsafe) static let sha256: OpaquePointer = {
        guard let algorithm = EVP_MD_fetch(nil, "SHA256", nil) else { broken("provide SHA-256") }
        return algorithm
    }()
}

/// One owned pointer to a C object, freed when its owner goes.
struct Owned<Pointer>: ~Copyable {
    let pointer: Pointer
    private let free: (Pointer) -> Void

    /// - Parameter pointer: nil gives nil.
    init?(_ pointer: Pointer?, free: @escaping (Pointer) -> Void) {
        guard let pointer else { return nil }
        self.pointer = pointer
        self.free = free
    }

    deinit { free(pointer) }
}

/// A memory BIO over bytes that outlive it, or an empty one that grows in cleansed memory.
func memoryBIO(reading bytes: UnsafeRawBufferPointer) -> Owned<OpaquePointer>? {
    guard let count = Int32(exactly: bytes.count) else { return nil }
    return Owned(BIO_new_mem_buf(bytes.baseAddress, count)) { BIO_free_all($0) }
}

func secretMemoryBIO() -> Owned<OpaquePointer>? {
    Owned(BIO_new(BIO_s_secmem())) { BIO_free_all($0) }
}

/// What stands in a memory BIO, lent.
func withContents<Result, Failure: Error>(
    of bio: borrowing Owned<OpaquePointer>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
) throws(Failure) -> Result {
    var data: UnsafeMutablePointer<CChar>?
    let count = shim_BIO_get_mem_data(bio.pointer, &data)
    return try body(UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : max(count, 0)))
}

/// Runs an `i2d` function twice, as OpenSSL wants it: once for the size, once for the bytes. Nil where it fails.
func encoded(_ write: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> Int32) -> [UInt8]? {
    let size = write(nil)
    guard size > 0 else { return nil }
    var complete = false
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
        var end = buffer.baseAddress
        complete = write(&end) == size
        count = complete ? Int(size) : 0
    }
    return complete ? bytes : nil
}

/// Runs a `d2i` function. Nil where it fails, or does not take all the bytes.
func decoded(
    _ der: [UInt8], by read: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, Int) -> OpaquePointer?,
    free: @escaping (OpaquePointer) -> Void
) -> Owned<OpaquePointer>? {
    let pointer = der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
        var next = bytes.baseAddress
        guard let pointer = read(&next, bytes.count) else { return nil }
        if next == bytes.baseAddress.map({ $0 + bytes.count }) { return pointer }
        free(pointer)
        return nil
    }
    return Owned(pointer, free: free)
}
