// What an idle pull costs on the wire, with ten origins known on both sides.
import Foundation
import PeerTransport
import Testing

@Suite(.serialized) struct IdleCostTests {
    /// Relays one connection after another with 40 ms of delay each way, and prints a line for each run of bytes in one
    /// direction: C or S, and how many.
    private static let proxy = """
        import asyncio, sys
        async def relay(name, reader, writer, runs):
            while True:
                data = await reader.read(65536)
                if not data: break
                if runs and runs[-1][0] == name: runs[-1][1] += len(data)
                else: runs.append([name, len(data)])
                await asyncio.sleep(0.04)
                writer.write(data)
            try: writer.write_eof()
            except OSError: pass
        async def serve(reader, writer):
            runs = []
            there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
            await asyncio.gather(relay("C", reader, back, runs), relay("S", there, writer, runs), return_exceptions=True)
            print(" ".join("%s%d" % tuple(r) for r in runs), flush=True)
            writer.close(); back.close()
        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            print(server.sockets[0].getsockname()[1], flush=True)
            await server.serve_forever()
        asyncio.run(main())
        """

    private struct Runs {
        let list: [(side: Character, bytes: Int)]
        init(_ line: Substring) {
            list = line.split(separator: " ").map { ($0.first ?? "?", Int($0.dropFirst()) ?? 0) }
        }
        func bytes(_ side: Character) -> Int { list.filter { $0.side == side }.reduce(0) { $0 + $1.bytes } }
    }

    @Test(.timeLimit(.minutes(10))) func oneRoundTripAndLessThanAKilobyte() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let istanbul = try await bureaus.admit("istanbul", by: hq)
        let server = try await hq.serve()
        for number in 1...9 {
            let node = try await bureaus.admit("bureau\(number)", by: hq)
            try await node.insertArticle("a\(number)", "by bureau \(number)")
            try await node.exchange("push", server)
        }
        try await istanbul.insertArticle("a0", "by istanbul")
        for verb in ["sync", "pull"] { try await istanbul.exchange(verb, server) }
        #expect(try await istanbul.vector()?.keys.count == 10)

        let proxy = try Child("python3", ["-c", Self.proxy, "\(server.port)"])
        // Whole ones: what stands after the last end of a line is still being written.
        func lines() -> [Substring] {
            String(decoding: proxy.output, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
                .dropLast()
        }
        let port = try await eventually("the proxy's port") { lines().first.flatMap { Int($0) } }
        let through = Server(node: hq, child: server.child, address: "127.0.0.1:\(port)")
        // The same handshake with the same certificates, and not a frame: what remains of a pull are its frames.
        let link = try await HostilePeer(istanbul).dial(through)
        await link.close()
        let bare = try await eventually("the bare handshake") { lines().count >= 2 ? Runs(lines()[1]) : nil }
        for round in 2...3 {
            let pulled = try await istanbul.exchange("pull", through)
            #expect(pulled["peers"]?[0]?["received"]?["change_sets"]?.int == 0)
            let runs = try await eventually("the pull") { lines().count >= round + 1 ? Runs(lines()[round]) : nil }
            let (up, down) = (runs.bytes("C") - bare.bytes("C"), runs.bytes("S") - bare.bytes("S"))
            print("idle pull, 10 origins: \(up) bytes up, \(down) down beyond a bare handshake; runs \(runs.list)")
            #expect((1..<1000).contains(up) && (1..<1000).contains(down))
            // Up: hello; certificate, with the greeting; goodbye. Down: certificate; greeting; the connection's end.
            for side in ["C", "S"] {
                #expect((2...3).contains(runs.list.count { String($0.side) == side }), "\(runs.list)")
            }
        }
        try await server.stop()
    }
}
