// Peers that are no syncnode: bare sockets, and OpenSSL's own client.
import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import PeerTransport

/// A TCP connection without TLS.
struct Stranger {
    let channel: any Channel

    init(to endpoint: Endpoint, saying bytes: [UInt8] = []) async throws {
        channel = try await ClientBootstrap(group: group)
            .channelOption(.allowRemoteHalfClosure, value: false)
            .connect(host: endpoint.host, port: endpoint.port).get()
        if !bytes.isEmpty { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }
    }

    init(to endpoint: Endpoint, saying text: String) async throws {
        try await self.init(to: endpoint, saying: Array(text.utf8))
    }

    /// Until the other side has closed it.
    func closed() async throws { try await channel.closeFuture.get() }

    func close() async { try? await channel.close() }
}

/// A TCP server without TLS, which says `bytes` to everyone.
struct StrangeServer: Sendable {
    let channel: any Channel
    /// Connections that came.
    let connections = Events<any Channel>()
    var endpoint: Endpoint { Endpoint(host: "127.0.0.1", port: channel.localAddress?.port ?? 0) }

    init(saying bytes: [UInt8] = []) async throws {
        channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { [connections] channel in
                connections.tell(channel)
                if !bytes.isEmpty { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func close() async { try? await channel.close() }
}

/// Runs `openssl s_client` against a listener until it ends.
/// - Returns: what it said.
func openSSLClient(_ endpoint: Endpoint, _ options: [String]) async throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl", "s_client", "-connect", endpoint.description] + options
    let output = Pipe()
    // Something to say that never comes: the session stays until the listener ends it.
    let input = Pipe()
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text: String = await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
            let data = output.fileHandleForReading.readDataToEndOfFile()
            continuation.resume(returning: String(decoding: data, as: UTF8.self))
        }
    }
    process.waitUntilExit()
    withExtendedLifetime(input) {}
    return text
}
