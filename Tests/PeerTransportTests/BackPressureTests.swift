// Whoever reads slowly slows whoever sends, and memory stays bounded meanwhile.
import NIOCore
import ReplicationModel
import ReplicationWire
import Synchronization
import Testing

@testable import PeerTransport

@Suite(.timeLimit(.minutes(1))) struct BackPressureTests {
    private static let frameBytes = 256 << 10
    private static let frames = 256

    /// 64 MiB. The kernel's buffers on both sides hold a few MiB by themselves (`tcp_rmem`, `tcp_wmem`).
    @Test func aSenderWaitsForASlowReader() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            let accepted = Atomic(0)
            async let sending: Void = {
                for _ in 0..<Self.frames {
                    try await client.send([values(Self.frameBytes)])
                    accepted.add(1, ordering: .relaxed)
                }
            }()
            while client.sendSuspensions == 0 { await Task.yield() }
            #expect(accepted.load(ordering: .relaxed) < Self.frames / 2)
            var received = 0
            while received < Self.frames {
                // One read may bring 256 KiB, and a frame that was begun is kept.
                #expect(answering.waitingBytes <= 3 * Self.frameBytes)
                #expect(client.bytesSent - answering.bytesReceived < 32 << 20)
                #expect(try await answering.next()?.frame == values(Self.frameBytes))
                received += 1
                if received.isMultiple(of: 16) { for _ in 0..<100 { await Task.yield() } }
            }
            try await sending
            #expect(client.bytesSent == answering.bytesReceived)
            #expect(client.sendSuspensions > 1)
            await closeBoth(client, answering)
        }
    }

    /// With nobody reading, no more is taken from the socket than the inbox holds, and one frame, and one read.
    @Test func nothingIsReadThatNobodyWants() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            let sender = Task { while true { try await client.send([.ping(number: 0, clock: now), values(10_000)]) } }
            while client.sendSuspensions == 0 { await Task.yield() }
            let limits = TransportLimits()
            // The reading side has what it holds, and then a while in which more could come.
            while answering.waitingBytes < limits.inboxBytes { await Task.yield() }
            for _ in 0..<10_000 { await Task.yield() }
            #expect(answering.waitingBytes <= limits.inboxBytes + (256 << 10) + 10_100)
            sender.cancel()
            await #expect(throws: CancellationError.self) { try await sender.value }
            // A frame boundary was kept, so the session goes on.
            async let last: Void = client.send([.goodbye])
            while try await answering.next()?.frame != .goodbye {}
            try await last
            await closeBoth(client, answering)
        }
    }

    @Test func aWaitingSenderLearnsOfTheEnd() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            async let failure = transportError { while true { try await client.send([values(Self.frameBytes)]) } }
            while client.sendSuspensions == 0 { await Task.yield() }
            try await answering.channel.close()
            #expect(await failure?.code == .closed)
            await client.close()
        }
    }

    /// One call's frames may be more than the outbox holds; they still all arrive.
    @Test func aCallLargerThanTheOutbox() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            let largest = FrameLimits.valuesFrameBytes
            async let sent: Void = client.send([ExchangeFrame](repeating: values(largest), count: 40) + [.goodbye])
            for _ in 0..<40 { #expect(try await answering.next()?.frame == values(largest)) }
            #expect(try await answering.next()?.frame == .goodbye)
            try await sent
            await closeBoth(client, answering)
        }
    }

    /// What was sent arrives, although the sender closes while the peer has read nothing.
    @Test func closingFlushes() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            try await client.send([ExchangeFrame](repeating: values(1000), count: 500))
            async let closed: Void = client.close()
            for _ in 0..<500 { #expect(try await answering.next()?.frame == values(1000)) }
            #expect(try await answering.next() == nil)
            await answering.close()
            await closed
        }
    }
}
