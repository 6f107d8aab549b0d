// Proven peers that send what is no frame: the session ends with the cause, and nothing is kept of it.
import NIOCore
import ReplicationModel
import ReplicationWire
import Testing

@testable import PeerTransport
@testable import Trust

@Suite(.timeLimit(.minutes(1))) struct BadFrameTests {
    struct Bad: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let words: String
        var isDelimited = false
    }

    static let bad = [
        Bad(testDescription: "4 GiB", bytes: [0xff, 0xff, 0xff, 0xff], words: "4294967295 bytes is announced"),
        Bad(
            testDescription: "a byte too many", bytes: [0x00, 0x41, 0x00, 0x01] + [UInt8](repeating: 0, count: 99),
            words: "4259841 bytes is announced"),
        Bad(testDescription: "empty", bytes: [0, 0, 0, 0, 0], words: "0 bytes"),
        Bad(
            testDescription: "no protobuf", bytes: [0, 0, 0, 3, 0xff, 0xff, 0xff], words: "not a frame",
            isDelimited: true),
        Bad(
            testDescription: "no known kind", bytes: [0, 0, 0, 3, 0xa2, 0x3f, 0], words: "no known kind",
            isDelimited: true),
    ]

    @Test(arguments: bad) func whatIsNoFrame(_ bad: Bad) async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            try await client.send([.ping(number: 1, clock: now)])
            try await client.channel.writeAndFlush(ByteBuffer(bytes: bad.bytes))
            // What came before counts, what comes after does not.
            #expect(try await answering.next()?.frame == .ping(number: 1, clock: now))
            try await client.send([.ping(number: 2, clock: now)])
            let failure = await transportError { _ = try await answering.next() }
            #expect(failure?.code == .badFrame)
            #expect(failure?.description.contains(bad.words) == true)
            #expect((failure?.frame != nil) == bad.isDelimited)
            #expect(await transportError { _ = try await answering.next() } == failure)
            // The peer can still be told.
            let notice = ExchangeFrame.error(ErrorNotice(code: .malformed, message: "no frame"))
            try await answering.send([notice])
            #expect(try await client.next()?.frame == notice)
            await closeBoth(client, answering)
            try await server.serves()
        }
    }

    @Test func halfAFrameAndGoodbye() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            try await client.channel.writeAndFlush(ByteBuffer(bytes: [0, 0, 1, 0, 0x0a, 0x0b]))
            client.channel.close(mode: .output, promise: nil)
            let failure = await transportError { _ = try await answering.next() }
            #expect(failure?.code == .badFrame)
            #expect(failure?.description.contains("within a frame, after 6 of 260 bytes") == true)
            await closeBoth(client, answering)
            try await server.serves()
        }
    }

    @Test(arguments: [[], [0, 0, 1], [0, 0, 1, 0, 0x0a]] as [[UInt8]])
    func aCutWithoutGoodbye(_ before: [UInt8]) async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            if !before.isEmpty { try await client.channel.writeAndFlush(ByteBuffer(bytes: before)) }
            try await client.channel.close()
            let failure = await transportError { _ = try await answering.next() }
            #expect(failure?.code == .closed && failure?.tls?.code == .truncated)
            #expect(failure?.description.contains("cut the connection during the session") == true)
            #expect(await transportError { try await answering.send([.goodbye]) }?.code == .closed)
            await answering.close()
            #expect(await transportError { _ = try await client.next() }?.code == .closed)
            await client.close()
            try await server.serves()
        }
    }

    @Test func framesBeforeACutAreGiven() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            try await client.send((0..<10).map { .ping(number: $0, clock: now) })
            try await client.channel.writeAndFlush(ByteBuffer(bytes: [0, 0, 0, 9]))
            try await client.channel.close()
            for number in 0..<UInt64(10) {
                #expect(try await answering.next()?.frame == .ping(number: number, clock: now))
            }
            #expect(await transportError { _ = try await answering.next() }?.code == .closed)
            await answering.close()
        }
    }

    @Test func bytesChangedOnTheWay() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            // Below TLS: the head of the pipeline, past the handler that encrypts.
            let channel = client.channel
            try await channel.eventLoop.submit {
                let tls = try channel.pipeline.syncOperations.context(handlerType: TLSHandler.self)
                tls.writeAndFlush(
                    NIOAny(ByteBuffer(bytes: [23, 3, 3, 0, 32] + [UInt8](repeating: 7, count: 32))), promise: nil)
            }.get()
            let failure = await transportError { _ = try await answering.next() }
            #expect(failure?.code == .tls && failure?.tls?.code == .corrupted)
            let told = await transportError { _ = try await client.next() }
            #expect(told?.code == .tls && told?.tls?.code == .corrupted)
            await closeBoth(client, answering)
            try await server.serves()
        }
    }
}
