import COpenSSL
import ReplicationModel
import Testing

@testable import Trust

@Suite struct TLSTransferTests {
    private func openPair() throws -> (client: TLSEngine, server: TLSEngine) {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit())
        let (client, server) = (TLSEngine(context: context, side: .client), TLSEngine(context: context, side: .server))
        converse(client, server)
        return (client, server)
    }

    /// 10 MB each way at once, written, carried and read in sizes that fit nothing.
    @Test func muchGoesBothWaysInOddPieces() throws {
        let (client, server) = try openPair()
        let total = 10_000_000
        let bytes = [UInt8](unsafeUninitializedCapacity: total) { buffer, count in
            for index in 0..<total { buffer[index] = UInt8(truncatingIfNeeded: index &* 2_654_435_761 >> 13) }
            count = total
        }
        var sent = [0, 0]
        var received: [[UInt8]] = [[], []]
        let directions = [(from: client, to: server), (from: server, to: client)]
        var round = 0
        while received.contains(where: { $0.count < total }) {
            for (index, direction) in directions.enumerated() {
                round += 1
                let offer = min([1, 16_385, 99_991, 700_001][round % 4], total - sent[index])
                let taken = try bytes.withUnsafeBytes { all in
                    Result { () throws(TLSFailure) in
                        try direction.from.write(
                            UnsafeRawBufferPointer(rebasing: all[sent[index]..<(sent[index] + offer)]))
                    }
                }.get()
                sent[index] += taken
                #expect(direction.from.outputCount <= TLSEngine.greatestOutputBytes + 17 * 1024)
                var ciphertext = direction.from.takeOutput()[...]
                while !ciphertext.isEmpty {
                    let size = [7_919, 1, 65_537][round % 3]
                    try direction.to.feed(Array(ciphertext.prefix(max(size, ciphertext.count / 64))))
                    ciphertext = ciphertext.dropFirst(max(size, ciphertext.count / 64))
                    while true {
                        let part = try direction.to.read(upTo: 10_007)
                        if part.isEmpty { break }
                        received[index] += part
                    }
                }
            }
        }
        #expect(received[0] == bytes)
        #expect(received[1] == bytes)
    }

    /// A session may change its keys as it goes on; to do so and nothing else costs the other side work for nothing.
    @Test func aPeerThatOnlyChangesItsKeysIsCutOff() throws {
        func update(_ engine: TLSEngine) {
            #expect(SSL_key_update(engine.session.pointer, SSL_KEY_UPDATE_REQUESTED) == 1)
            #expect(SSL_do_handshake(engine.session.pointer) == 1)
        }
        let (client, server) = try openPair()
        for round in 0..<100 {
            update(client)
            _ = try client.write([UInt8(round)])
            try server.feed(client.takeOutput())
            #expect(try server.read(upTo: 10) == [UInt8(round)])
            _ = try server.write([UInt8(round)])
            try client.feed(server.takeOutput())
            #expect(try client.read(upTo: 10) == [UInt8(round)])
        }
        let error = #expect(throws: TLSFailure.self) {
            for _ in 0..<40 {
                update(client)
                try server.feed(client.takeOutput())
                #expect(try server.read(upTo: 10) == [])
                _ = server.takeOutput()
            }
        }
        #expect(error?.code == .protocolViolation)
        #expect(server.state == .failed(try #require(error)))
    }

    @Test func aSenderThatIsNotDrainedIsHeldBack() throws {
        let (client, server) = try openPair()
        let bytes = [UInt8](repeating: 1, count: 4 << 20)
        let taken = try client.write(bytes)
        #expect(taken < bytes.count && taken >= TLSEngine.greatestOutputBytes - (16 << 10))
        #expect(try client.write(bytes) == 0)
        try server.feed(client.takeOutput())
        #expect(try server.read(upTo: 1 << 20).count == taken)
        #expect(try client.write(bytes) > 0)
    }

    @Test func outputIsTakenInPieces() throws {
        let (client, server) = try openPair()
        _ = try client.write([UInt8](repeating: 9, count: 50_000))
        var piece = [UInt8](repeating: 0, count: 999)
        while true {
            let count = piece.withUnsafeMutableBytes { client.readOutput(into: $0) }
            if count == 0 { break }
            try server.feed(Array(piece.prefix(count)))
        }
        #expect(try server.read(upTo: 100_000) == [UInt8](repeating: 9, count: 50_000))
    }

    /// Every byte of a record in turn: its header, its contents, its tag.
    @Test func aChangedByteIsNoticed() throws {
        for index in 0..<48 {
            let (client, server) = try openPair()
            _ = try client.write([UInt8](repeating: 1, count: 30))
            _ = try client.write(Array("after".utf8))
            var ciphertext = client.takeOutput()
            ciphertext[index] ^= 0x40
            let failure = failure { () throws(TLSFailure) in
                try server.feed(ciphertext)
                _ = try server.read(upTo: 1000)
            }
            // A longer length waits for more bytes, and fails when they have come.
            if failure == nil {
                #expect(index == 3 || index == 4)
                try server.feed([UInt8](repeating: 0, count: 20_000))
            }
            let final = failure ?? readFailure(server)
            #expect(final?.code == .corrupted || final?.code == .protocolViolation, "byte \(index)")
            if index >= 5 { #expect(final?.code == .corrupted, "byte \(index)") }
            #expect(throws: TLSFailure.self) { try server.read(upTo: 1000) }
            #expect(throws: TLSFailure.self) { try server.feed([1]) }
            // The sender hears of it.
            try client.feed(server.takeOutput())
            #expect(readFailure(client) != nil, "byte \(index)")
        }
    }
}
