// PEM (RFC 7468): the text form in which certificates, requests and revocations are kept and carried.
//
// Invariant: what `encode` writes, `decode` reads back, all of it or nothing; bytes outside the blocks are ignored, as the
// RFC wants.

internal import COpenSSL

enum PEM {
    struct Block: Hashable {
        let label: String
        let bytes: [UInt8]
    }

    static func encode(_ blocks: [Block]) -> [UInt8] {
        ERR_clear_error()
        guard let bio = secretMemoryBIO() else { OpenSSL.broken("write PEM") }
        for block in blocks {
            guard PEM_write_bio(bio.pointer, block.label, "", block.bytes, block.bytes.count) > 0 else {
                OpenSSL.broken("write PEM")
            }
        }
        return withContents(of: bio) { Array($0) }
    }

    /// Blocks of no bytes are left out: nothing has such an encoding, and OpenSSL would not write one.
    /// - Parameter limit: at most this many blocks are read.
    /// - Returns: nil where a block begins and cannot be read: what comes after it would be lost without a word.
    static func decode(_ text: [UInt8], limit: Int) -> [Block]? {
        OpenSSL.call {
            text.withUnsafeBytes { bytes in
                var blocks: [Block] = []
                guard let bio = memoryBIO(reading: bytes) else { return nil }
                while blocks.count < limit {
                    guard let block = next(in: bio.pointer) else {
                        let error = ERR_peek_last_error()
                        let isEnd = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE
                        return isEnd ? blocks : nil
                    }
                    if !block.bytes.isEmpty { blocks.append(block) }
                }
                return blocks
            }
        }
    }

    /// Nil at the end, and where a block is damaged; OpenSSL's last error tells which.
    private static func next(in bio: OpaquePointer) -> Block? {
        var name: UnsafeMutablePointer<CChar>?
        var header: UnsafeMutablePointer<CChar>?
        var data: UnsafeMutablePointer<UInt8>?
        var count = 0
        defer {
            shim_OPENSSL_free(name)
            shim_OPENSSL_free(header)
            shim_OPENSSL_free(data)
        }
        guard PEM_read_bio(bio, &name, &header, &data, &count) == 1, let name else { return nil }
        return Block(label: String(cString: name), bytes: Array(UnsafeBufferPointer(start: data, count: count)))
    }
}
