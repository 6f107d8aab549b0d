// One TLS session, without a socket: ciphertext in, ciphertext out, plaintext between.
//
// Invariant: no plaintext leaves or enters before the peer has been checked; after a failure nothing does.

internal import COpenSSL

/// One TLS 1.3 session over memory, for one thread at a time.
///
/// Whoever owns the connection calls `feed` with what arrives, then `read` until it gives 0, and sends what `readOutput`
/// or `takeOutput` give after every call, also after one that threw: a peer learns from an alert why it was refused.
///
/// A server has checked its peer when `state` becomes `open`. A client has checked the server then, but the server's
/// refusal of the client's certificate can only arrive later: it comes out of `read` as `refusedByPeer` (RFC 8446, 4.4.2).
public final class TLSEngine {
    /// Which side of the handshake.
    public enum Side: Hashable, Sendable {
        /// Dials, and speaks first.
        case client
        /// Answers.
        case server
    }

    /// How far the session is.
    public enum State: Hashable, Sendable {
        /// The peer is not known yet.
        case handshaking
        /// Plaintext flows both ways.
        case open
        /// The peer said goodbye: nothing more will be read; writing still works.
        case closedByPeer
        /// Over.
        case failed(TLSFailure)
    }

    /// While this much ciphertext waits to be taken, `write` accepts nothing: 16 full records. Enough to fill a socket's
    /// buffer in one go, and a bound on what a session that cannot send holds.
    public static let greatestOutputBytes = 256 << 10
    private static let recordBytes = 16 << 10

    /// How far the session is.
    public private(set) var state = State.handshaking
    /// The protocol agreed on, once the session is open.
    public private(set) var negotiatedProtocol: SessionProtocol?
    /// The peer's certificate, once it was checked; none where the peer wants to join.
    public internal(set) var peerCertificate: Certificate?

    let context: TLSContext
    /// Why the peer's certificate was refused, left here by the callback.
    var refusal: CertificateRefusal?
    /// The client named no protocol at all; left here by the callback.
    var offersNoProtocol = false
    let session: Owned<OpaquePointer>
    private let input: OpaquePointer
    private let output: OpaquePointer
    private let side: Side
    /// Changes of key that the peer announced since it sent anything else.
    private var keyUpdates = 0
    private static let greatestKeyUpdates = 32
    /// The first two bytes tell TLS from anything else.
    private var openingBytesSeen = 0

    /// - Parameters:
    ///   - offering: what a client wants to speak; it has its first message to send at once. A server takes what its
    ///     context allows.
    public init(context: TLSContext, side: Side, offering: SessionProtocol = .exchange) {
        ERR_clear_error()
        guard let session = Owned(SSL_new(context.pointer), free: SSL_free), let input = BIO_new(BIO_s_mem()),
            let output = BIO_new(BIO_s_mem())
        else { OpenSSL.broken("begin a TLS session") }
        // The session owns both from here on.
        SSL_set_bio(session.pointer, input, output)
        self.context = context
        self.side = side
        self.session = session
        self.input = input
        self.output = output
        SSL_set_ex_data(self.session.pointer, 0, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_msg_callback(self.session.pointer) { isSent, _, kind, message, count, session, _ in
            guard isSent == 0, kind == SSL3_RT_HANDSHAKE, count > 0,
                message?.load(as: UInt8.self) == UInt8(SSL3_MT_KEY_UPDATE), let engine = SSL_get_ex_data(session, 0)
            else { return }
            Unmanaged<TLSEngine>.fromOpaque(engine).takeUnretainedValue().keyUpdates += 1
        }
        switch side {
        case .server:
            SSL_set_accept_state(self.session.pointer)
        case .client:
            SSL_set_connect_state(self.session.pointer)
            let name = Array(offering.rawValue.utf8)
            let list = [UInt8(name.count)] + name
            guard SSL_set_alpn_protos(self.session.pointer, list, UInt32(list.count)) == 0 else {
                OpenSSL.broken("offer a protocol")
            }
            // Only writes: cannot fail before the peer has spoken.
            try? advanceHandshake()
        }
    }

    // MARK: Ciphertext

    /// Takes in what arrived, all of it, and goes on with the handshake. What is fed is held until `read` asks for it.
    /// - Throws: why the session failed.
    public func feed(_ ciphertext: UnsafeRawBufferPointer) throws(TLSFailure) {
        try checkNotFailed()
        // Nothing counts after a goodbye.
        if case .closedByPeer = state { return }
        try checkOpening(ciphertext)
        var rest = ciphertext[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            guard BIO_write(input, part.baseAddress, Int32(part.count)) == Int32(part.count) else {
                OpenSSL.broken("hold received bytes")
            }
            rest = rest.dropFirst(part.count)
        }
        if case .handshaking = state { try advanceHandshake() }
    }

    /// Takes in what arrived.
    public func feed(_ ciphertext: [UInt8]) throws(TLSFailure) {
        try ciphertext.withUnsafeBytes { bytes in
            Result { () throws(TLSFailure) in try feed(bytes) }
        }.get()
    }

    /// The connection has ended.
    /// - Throws: `truncated` unless the peer said goodbye before.
    public func finishInput() throws(TLSFailure) {
        try checkNotFailed()
        if case .closedByPeer = state { return }
        throw fail(
            TLSFailure(.truncated, "the connection was cut before the session was over; connect again"))
    }

    /// How many bytes wait to be sent.
    public var outputCount: Int { Int(BIO_ctrl_pending(output)) }

    /// Moves bytes to be sent into `buffer`.
    /// - Returns: how many; 0 where none wait.
    public func readOutput(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        return max(Int(BIO_read(output, base, Int32(clamping: buffer.count))), 0)
    }

    /// Takes everything that is to be sent.
    public func takeOutput() -> [UInt8] {
        let waiting = outputCount
        return [UInt8](unsafeUninitializedCapacity: waiting) { buffer, count in
            count = waiting == 0 ? 0 : readOutput(into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    // MARK: Plaintext

    /// Encrypts as much as the bound on waiting output allows.
    /// - Returns: how many bytes of `plaintext` were taken; offer the rest again after output was taken.
    /// - Throws: `notOpen` before the handshake is done and after `close`, or why the session failed.
    public func write(_ plaintext: UnsafeRawBufferPointer) throws(TLSFailure) -> Int {
        try checkOpen()
        var taken = 0
        ERR_clear_error()
        while taken < plaintext.count, outputCount < Self.greatestOutputBytes {
            var written = 0
            let count = min(plaintext.count - taken, Self.recordBytes)
            let result = SSL_write_ex(session.pointer, plaintext.baseAddress.map { $0 + taken }, count, &written)
            guard result == 1 else { throw fail(failureFromErrors()) }
            taken += written
        }
        return taken
    }

    /// Encrypts as much as the bound on waiting output allows.
    public func write(_ plaintext: [UInt8]) throws(TLSFailure) -> Int {
        try plaintext.withUnsafeBytes { bytes in
            Result { () throws(TLSFailure) in try write(bytes) }
        }.get()
    }

    /// Decrypts what was fed into `buffer`, until that is full or nothing whole is left.
    /// - Returns: how many bytes; 0 means: feed more, or look at `state`.
    /// - Throws: why the session failed. What was decrypted before is given first, the failure at the next call.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSFailure) -> Int {
        try checkNotFailed()
        guard case .open = state else { return 0 }
        var filled = 0
        ERR_clear_error()
        while filled < buffer.count {
            var count = 0
            let target = buffer.baseAddress.map { $0 + filled }
            if SSL_read_ex(session.pointer, target, buffer.count - filled, &count) == 1 {
                filled += count
                keyUpdates = 0
                continue
            }
            // OpenSSL has no bound of its own, and each is answered.
            guard keyUpdates <= Self.greatestKeyUpdates else {
                let failure = TLSFailure(
                    .protocolViolation,
                    "the peer changed its keys more than \(Self.greatestKeyUpdates) times and sent nothing between; look at what it runs"
                )
                if filled == 0 { throw fail(failure) }
                return filled
            }
            switch SSL_get_error(session.pointer, 0) {
            case SSL_ERROR_WANT_READ:
                return filled
            case SSL_ERROR_ZERO_RETURN:
                state = .closedByPeer
                return filled
            default:
                let failure = fail(failureFromErrors())
                if filled == 0 { throw failure }
                return filled
            }
        }
        return filled
    }

    /// Decrypts at most `limit` bytes of what was fed.
    public func read(upTo limit: Int) throws(TLSFailure) -> [UInt8] {
        var result = Result<Int, TLSFailure>.success(0)
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            result = Result { () throws(TLSFailure) in try read(into: UnsafeMutableRawBufferPointer(buffer)) }
            // A failure is thrown below.
            count = (try? result.get()) ?? 0
        }
        _ = try result.get()
        return bytes
    }

    /// Says goodbye, so that the peer knows that nothing is missing. Nothing can be written after.
    public func close() {
        switch state {
        case .open, .closedByPeer: OpenSSL.call { _ = SSL_shutdown(session.pointer) }
        case .handshaking, .failed: break
        }
    }

    /// Bytes that both ends of this session can make and nobody else (RFC 8446, 7.5), with an empty context.
    /// - Parameters:
    ///   - label: begins with "EXPORTER".
    ///   - count: how many bytes.
    /// - Throws: `notOpen` before the handshake is done.
    public func exportKeyingMaterial(label: String, count: Int) throws(TLSFailure) -> [UInt8] {
        try checkNotFailed()
        if case .handshaking = state { throw Self.notOpen }
        let label = label.utf8.map { CChar(bitPattern: $0) }
        return OpenSSL.call {
            [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                filled = count
                let code = SSL_export_keying_material(
                    session.pointer, buffer.baseAddress, count, label, label.count, nil, 0, 0)
                guard code == 1 else { OpenSSL.broken("export keying material") }
            }
        }
    }

    // MARK: Inside

    private static let notOpen = TLSFailure(
        .notOpen, "the TLS session is not open; finish the handshake, or connect again")

    private func advanceHandshake() throws(TLSFailure) {
        ERR_clear_error()
        let result = SSL_do_handshake(session.pointer)
        guard result == 1 else {
            if SSL_get_error(session.pointer, result) == SSL_ERROR_WANT_READ { return }
            if offersNoProtocol { throw fail(.otherProtocol) }
            throw fail(refusal.map(TLSFailure.refused) ?? failureFromErrors())
        }
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(session.pointer, &name, &count)
        let agreed = String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
        guard let agreed = SessionProtocol(rawValue: agreed) else {
            state = .open
            close()
            throw fail(.otherProtocol)
        }
        // OpenSSL saw to it already; this says so where it can be read.
        guard peerCertificate != nil || (agreed == .join && side == .server) else {
            throw fail(TLSFailure(.noCertificate, "the peer showed no certificate; it must join the workspace first"))
        }
        negotiatedProtocol = agreed
        state = .open
    }

    /// A TLS record begins with its kind, at first a handshake or an alert, and the number 3.
    private func checkOpening(_ ciphertext: UnsafeRawBufferPointer) throws(TLSFailure) {
        for byte in ciphertext.prefix(2 - openingBytesSeen) {
            let isTLS = openingBytesSeen == 0 ? byte == SSL3_RT_HANDSHAKE || byte == SSL3_RT_ALERT : byte == 3
            guard isTLS else { throw fail(.notTLS) }
            openingBytesSeen += 1
        }
    }

    private func checkNotFailed() throws(TLSFailure) {
        if case .failed(let failure) = state { throw failure }
    }

    private func checkOpen() throws(TLSFailure) {
        try checkNotFailed()
        let isClosed = SSL_get_shutdown(session.pointer) & SSL_SENT_SHUTDOWN != 0
        if case .handshaking = state { throw Self.notOpen }
        if isClosed { throw Self.notOpen }
    }

    private func failureFromErrors() -> TLSFailure { .fromErrors(OpenSSL.drainErrors()) }

    private func fail(_ failure: TLSFailure) -> TLSFailure {
        state = .failed(failure)
        return failure
    }
}
