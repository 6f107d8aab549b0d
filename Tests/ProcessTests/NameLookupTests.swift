// Names that cannot be looked up: whoever is reached by an address, or by another name, is reached all the same.
import Foundation
import Testing

@Suite(.serialized, .enabled(if: TestNetwork.isPermitted, "network namespaces may not be made here"))
struct NameLookupTests {
    /// A name server that takes questions and never answers.
    private static let mute = """
        import socket, time
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 53))
        print("bound", flush=True)
        time.sleep(600)
        """

    @Test(.timeLimit(.minutes(4))) func namesThatHangKeepNobodyElseWaiting() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let network = try TestNetwork(1)
        let resolver = try bureaus.file(
            "resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
        let services = try bureaus.file("nsswitch.conf", "hosts: files dns\n")
        func child(_ command: String, _ node: Node) throws -> Child {
            // `ip netns exec` gives mounts of its own.
            let mounts = "mount --bind '\(resolver)' /etc/resolv.conf && mount --bind '\(services)' /etc/nsswitch.conf"
            return try Child(
                "ip", ["netns", "exec", network.hosts[0], "sh", "-c", "\(mounts) && exec \(command)"],
                environment: ["SYNCNODE_DATA": node.data])
        }
        let server = try Child("ip", ["netns", "exec", network.hosts[0], "python3", "-c", Self.mute])
        _ = try await eventually("the name server; \(server.errors)") {
            String(decoding: server.output, as: UTF8.self).contains("bound") ? true : nil
        }
        for index in 0..<6 { try await istanbul.run("peer", "add", "n\(index).example.net:7742") }
        try await istanbul.run("peer", "add", "127.0.0.1:7742")
        let calling = try child("'\(Bureaus.program)' serve --listen 127.0.0.1:7743", istanbul)
        // All of them hang when hq comes.
        for index in 0..<6 {
            _ = try await eventually("n\(index) is given up: \(calling.errors)", within: 60, every: 100) {
                calling.errors.contains("the look-up of \\\"n\(index).example.net\\\" did not end")
                    || calling.errors.contains("the look-up of \"n\(index).example.net\" did not end") ? true : nil
            }
        }
        let answering = try child("'\(Bureaus.program)' serve --listen 127.0.0.1:7742", hq)
        _ = try await eventually("hq is reached: \(calling.errors) \(answering.errors)", within: 90, every: 200) {
            let peers = try await istanbul.json("lag")["peers"]?.elements
            return peers?.contains { $0["name"]?.text == "hq" && $0["state"]?.text == "live" } == true ? true : nil
        }
        for service in [calling, answering] {
            service.signal(SIGTERM)
            #expect(try await service.wait(seconds: 10).status == 0)
        }
    }
}
