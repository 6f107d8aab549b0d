// Three hosts of their own: network namespaces with delay, loss and partitions between them.
import Foundation
import Testing

/// Namespaces that this test made, joined by a bridge in a further one; nothing outside them is touched.
final class TestNetwork: Sendable {
    let hosts: [String]
    private let hub: String

    static let isPermitted: Bool = {
        let name = "sn\(getpid())p"
        let isThere = shell("command -v ip && command -v tc && ip netns add \(name)")
        _ = shell("ip netns del \(name)")
        if !isThere {
            print("SKIPPED: network namespaces may not be made here, so that nothing is tested on a bad network")
        }
        return isThere
    }()

    /// Whether this kernel can delay and lose: without it the partitions are tested all the same.
    static let canImpair: Bool = {
        let name = "sn\(getpid())i"
        let can = shell(
            "ip netns add \(name) && ip -n \(name) link set lo up && tc -n \(name) qdisc add dev lo root netem delay 1ms"
        )
        _ = shell("ip netns del \(name)")
        if !can { print("SKIPPED: this kernel has no netem, so that partitions are tested without delay and loss") }
        return can
    }()

    init(_ count: Int) throws {
        let tag = "sn\(getpid() % 100_000)"
        hub = tag + "h"
        hosts = (0..<count).map { "\(tag)n\($0)" }
        var commands = [
            "ip netns add \(hub)", "ip -n \(hub) link add br0 type bridge", "ip -n \(hub) link set br0 up",
        ]
        for (index, host) in hosts.enumerated() {
            commands += [
                "ip netns add \(host)", "ip -n \(host) link set lo up",
                "ip -n \(hub) link add p\(index) type veth peer name eth0 netns \(host)",
                "ip -n \(hub) link set p\(index) master br0 up",
                "ip -n \(host) addr add \(Self.address(index))/24 dev eth0", "ip -n \(host) link set eth0 up",
            ]
        }
        guard Self.shell(commands.joined(separator: " && ")) else { throw TestFailure("cannot make the network") }
    }

    deinit { for name in hosts + [hub] { _ = Self.shell("ip netns del \(name)") } }

    static func address(_ host: Int) -> String { "10.113.7.\(host + 1)" }

    /// Delay and loss of everything that a host sends.
    func impair(_ host: Int, _ netem: String) throws {
        guard Self.canImpair else { return }
        guard Self.shell("tc -n \(hosts[host]) qdisc replace dev eth0 root netem \(netem)") else {
            throw TestFailure("cannot impair \(hosts[host]) with \(netem)")
        }
    }

    /// Takes a host off the network, or brings it back; its own end stays up, so that nobody is told.
    func connect(_ host: Int, _ connected: Bool) throws {
        guard Self.shell("ip -n \(hub) link set p\(host) \(connected ? "up" : "down")") else {
            throw TestFailure("cannot cut \(hosts[host])")
        }
    }

    private static func shell(_ command: String) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}

@Suite(.serialized, .enabled(if: TestNetwork.isPermitted, "network namespaces may not be made here"))
struct NetworkTests {
    private func serve(_ node: Node, _ host: Int, in network: TestNetwork) async throws -> Server {
        let address = "\(TestNetwork.address(host)):7742"
        let child = try Child(
            "ip", ["netns", "exec", network.hosts[host], Bureaus.program, "serve", "--listen", address],
            environment: ["SYNCNODE_DATA": node.data])
        _ = try await eventually("\(node.name) serves; \(child.errors)", within: 30) {
            String(decoding: child.output, as: UTF8.self).contains("ready") ? true : nil
        }
        return Server(node: node, child: child, address: address)
    }

    private func lag(of peer: String, at node: Node) async throws -> JSON? {
        try await node.json("lag")["peers"]?.elements.first { $0["name"]?.text == peer }
    }

    private func count(_ node: Node) async throws -> String { try await node.sql("SELECT count(*) FROM articles") }

    private func arrive(_ expected: Int, at nodes: [Node], within seconds: Double = 90, _ servers: [Server])
        async throws
    {
        for node in nodes {
            let what = { "\(expected) articles at \(node.name); \(servers.map { $0.child.errors.suffix(700) })" }
            _ = try await eventually(what(), within: seconds, every: 200) {
                try await count(node) == "\(expected)" ? true : nil
            }
        }
    }

    @Test(.timeLimit(.minutes(4))) func threeHostsOnABadNetworkConverge() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let network = try TestNetwork(3)
        for host in 0..<3 { try network.impair(host, "delay 40ms 10ms loss 3%") }
        var servers: [Server] = []
        for (host, node) in nodes.enumerated() {
            for other in 0..<host { try await node.run("peer", "add", "\(TestNetwork.address(other)):7742") }
            servers.append(try await serve(node, host, in: network))
        }
        // On a slow and lossy network.
        for (index, node) in nodes.enumerated() {
            try await node.sql(
                """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                INSERT INTO articles(id, headline, body) SELECT 'n\(index)-' || i, 'h', hex(randomblob(500)) FROM n
                """)
        }
        try await arrive(1_500, at: nodes, servers)
        for node in nodes {
            for other in nodes where other.name != node.name {
                let peer = try await eventually("no lag of \(other.name) at \(node.name)", within: 60, every: 300) {
                    () -> JSON? in
                    let peer = try await lag(of: other.name, at: node)
                    return peer?["ahead"]?["changes"]?.int == 0 && peer?["behind"]?["changes"]?.int == 0 ? peer : nil
                }
                #expect(peer["state"]?.text == "live", "\(peer)")
            }
        }

        // antalya is cut off, and everybody goes on writing, some of it the same field.
        try network.connect(2, false)
        for round in 0..<10 {
            for (index, node) in nodes.enumerated() {
                try await node.insertArticle("cut-\(index)-\(round)", "while cut off")
            }
        }
        // On either side of the cut: hq and istanbul are live, and what one writes the other has seen in milliseconds.
        for node in [nodes[0], nodes[2]] {
            try await node.sql("UPDATE articles SET headline = 'by \(node.name)' WHERE id = 'n0-1'")
        }
        try await arrive(1_520, at: Array(nodes[0...1]), servers)
        #expect(try await count(nodes[2]) == "1510")
        // What was written is counted as lacking over there, and what is not known to have arrived is not said to have.
        for (node, other) in [(nodes[0], "antalya"), (nodes[1], "antalya"), (nodes[2], "hq"), (nodes[2], "istanbul")] {
            let peer = try await lag(of: other, at: node)
            #expect((peer?["ahead"]?["changes"]?.int ?? 0) > 0, "\(node.name): \(peer ?? .null)")
            #expect((peer?["ahead"]?["seconds"]?.double ?? 0) > 0, "\(node.name): \(peer ?? .null)")
        }
        let between = try await lag(of: "istanbul", at: nodes[0])
        #expect(between?["state"]?.text == "live", "\(between ?? .null)")

        // It comes back on a line that is worse than before, and is cut again while it catches up.
        try network.impair(2, "delay 120ms 40ms loss 8%")
        try network.connect(2, true)
        try await Task.sleep(for: .milliseconds(700))
        try network.connect(2, false)
        try await nodes[2].insertArticle("cut-again", "once more")
        try network.connect(2, true)
        try await arrive(1_531, at: nodes, within: 120, servers)
        for node in nodes {
            for other in nodes where other.name != node.name {
                _ = try await eventually("no lag of \(other.name) at \(node.name) again", within: 90, every: 300) {
                    let peer = try await lag(of: other.name, at: node)
                    return peer?["ahead"]?["changes"]?.int == 0 && peer?["behind"]?["changes"]?.int == 0 ? true : nil
                }
            }
        }
        for server in servers { try await server.stop() }
        try await expectAgreement(nodes)
        #expect(try await nodes[0].json("conflicts", "list")["conflicts"]?.elements.count == 1)
        let line =
            TestNetwork.canImpair ? "40 ms and 3 %, then 120 ms and 8 % of loss" : "no delay and loss (no netem here)"
        print("network: 3 namespaces, \(line), 2 partitions, healed and converged")
    }
}
