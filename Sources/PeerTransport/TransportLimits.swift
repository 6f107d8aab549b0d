// Every bound on what a connection may hold, and for how long.
//
// Invariant: whatever a peer does, a connection costs no more than these allow, and the kernel's own buffer.
internal import ReplicationWire

/// Bounds on connections. One link holds at most one frame, `inboxBytes` and 256 KiB of one read towards this node, and
/// `outboxBytes`, one `send` and 512 KiB of ciphertext towards the peer: about 7 MiB where a peer sends the largest frames.
///
/// Beside that, once: where the peer has closed its side, SwiftNIO reads at once all that the kernel still keeps of what it
/// sent, whether or not anybody asks for it. That is what the kernel kept before: at most the third figure of
/// `net.ipv4.tcp_rmem`, 6 MiB unless the system was told otherwise, and it passes on as the session's reader takes it. A
/// smaller SO_RCVBUF would bound it too, and every transfer over a long line with it.
public struct TransportLimits: Sendable {
    /// From the connection to an open session. A handshake is two round trips and a few milliseconds of arithmetic; 10 s
    /// leave room for a satellite link that loses three packets in a row (1 + 2 + 4 s of retransmission).
    public var handshakeMilliseconds = 10_000
    /// From the beginning of a name's look-up to a connection: the same three losses of a SYN.
    public var connectMilliseconds = 10_000
    /// Without a single byte from the peer while this side is ready to read. Sessions ping after 15 s and give a
    /// peer up after 45 s by themselves; this is for links that no session watches.
    public var idleMilliseconds = 120_000
    /// What was sent before `close` must leave within this: `outboxBytes` at 1 Mbit/s, and some.
    public var flushMilliseconds = 10_000
    /// Then the peer's end of the connection is waited for: it has only to read what is on its way.
    public var finishMilliseconds = 5_000
    /// The whole life of a link with a peer that has proven nothing: a request, an answer, and a person's patience.
    public var joinMilliseconds = 60_000
    /// All connections accepted. Half of the 1,024 descriptors that a process has by default; the rest is for files.
    public var connections = 512
    /// Of them from one address (an IPv6 network of 64 bits counts as one): an office behind one address translator.
    public var connectionsPerAddress = 64
    /// Of them in the handshake, or joining: where there are more, who is from where most come gives way, or who has been at it for
    /// more than a second. A handshake costs both sides together about 2 ms of a core, dialling and closing included, so that
    /// these are done in an eighth of a second, unless peers stall, and then they cost `handshakeMilliseconds` each.
    public var handshakesAtOnce = 64
    /// Of these from one address, so that one that stalls does not keep all others out.
    public var handshakesPerAddress = 16
    /// One frame without its length, from a proven peer.
    public var frameBytes = FrameLimits.frameBytes
    /// One frame from a peer that has proven nothing: a join request is under 2 KiB.
    public var joinFrameBytes = 64 << 10
    /// Received and not yet asked for, before reading from the socket stops: what four reads of 64 KiB bring. The last of
    /// what a peer sent, after which it closed its side, is read in any case, as said above.
    public var inboxBytes = 256 << 10
    /// Sent and not yet taken by the socket, before `send` suspends: what 80 ms at 100 Mbit/s take, so that a sender that
    /// is woken at half of it always finds time to bring more.
    public var outboxBytes = 1 << 20

    public init() {}
}
