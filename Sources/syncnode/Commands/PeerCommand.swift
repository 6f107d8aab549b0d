// syncnode peer add, list, remove

import ArgumentParser
import NodeRuntime
import PeerTransport
import ReplicaStore
import Trust

struct PeerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peer", abstract: "Where other nodes are reached.",
        subcommands: [Add.self, List.self, Remove.self], defaultSubcommand: List.self)

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remember an address to dial.")
        @Argument(help: ArgumentHelp(valueName: "host:port")) var address: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let endpoint = try Endpoint(address)
            guard endpoint.port != 0 else {
                throw CommandFailure(
                    .usage,
                    "Cannot dial \(endpoint): no node is reached at port 0. Give the port that its `syncnode serve` shows."
                )
            }
            try options.openNode().replica.addAddress(endpoint.description)
            try options.print(["address": endpoint.description], text: "Will dial \(endpoint).")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the addresses.")
        @OptionGroup var options: GlobalOptions

        struct Peer: Encodable {
            let address: String
            @Nullable var id: String?
            @Nullable var name: String?
        }

        func run() async throws {
            let node = try options.openNode()
            let peers = try node.replica.addresses().map { address in
                Peer(
                    address: address.address, id: address.node.map { "\($0)" },
                    name: address.node.map { node.name(of: $0) })
            }
            var table = TextTable("address", "name", "node")
            for peer in peers { table.add(peer.address, peer.name ?? "(not met yet)", peer.id ?? "") }
            try options.print(
                ["peers": peers],
                text: peers.isEmpty ? "No peer is known. Add one: syncnode peer add HOST:PORT" : table.text())
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forget an address, or every address of a node.")
        @Argument(help: ArgumentHelp(valueName: "name|host:port")) var peer: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let known = try node.replica.addresses()
            let member = try node.member(named: peer)?.node
            // A host without a port is taken as `peer add` takes it; a node of that name comes first.
            let endpoint = peer.contains(":") ? try Endpoint(peer).description : (try? Endpoint(peer))?.description
            let ofMember = known.filter { member != nil && $0.node == member }
            let gone = ofMember.isEmpty ? known.filter { $0.address == endpoint } : ofMember
            guard !gone.isEmpty else {
                throw CommandFailure(.noInput, "No address of “\(peer)” is known. `syncnode peer list` shows what is.")
            }
            for address in gone { _ = try node.replica.removeAddress(address.address) }
            try options.print(
                ["removed": gone.map(\.address)], text: "Forgot \(gone.map(\.address).joined(separator: ", ")).")
        }
    }
}
