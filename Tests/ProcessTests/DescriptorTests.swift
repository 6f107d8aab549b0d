// A service that may open nothing more at all, not even its own files: it goes on living, says why it takes nobody, and takes
// everybody again when it may.
import Foundation
import Testing

@Suite(.serialized) struct DescriptorTests {
    private struct Scene {
        let nodes: [Node]
        let hq: Server
        /// A live peer of hq.
        let istanbul: Server
        let limit: Int
        var antalya: Node { nodes[2] }

        init() async throws {
            let bureaus = try Bureaus()
            nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
            hq = try await nodes[0].serve()
            try await nodes[1].run("peer", "add", hq.address)
            istanbul = try await nodes[1].serve()
            try await nodes[0].carries("before", to: nodes[1])
            limit = try hq.child.descriptorLimit()
        }

        /// Lets hq open nothing from now on, and sends it some who wait in vain.
        ///
        /// - Returns: those.
        func starve() async throws -> Crowd {
            // Below what it has: nor is there room again when something is closed.
            try await hq.child.limitDescriptors(to: 3)
            let crowd = try Crowd.strangers(hq, 8, from: "127.0.0.2")
            _ = try await eventually("eight are in the queue: \(crowd.told), \(crowd.child.errors)") {
                try await hq.queued() == 8 ? true : nil
            }
            return crowd
        }

        func feed() async throws { try await hq.child.limitDescriptors(to: limit) }

        /// That others are let in again, and all nodes come to have the same.
        func expectRecovery() async throws {
            _ = try await eventually("it takes others again: \(hq.child.errors.suffix(1000))", within: 60, every: 200) {
                try await antalya.attempt("sync", hq.address).status == 0 ? true : nil
            }
            // Its own dials may be put off for a minute.
            try await istanbul.stop()
            for node in nodes.dropFirst() { try await node.exchange("sync", hq) }
            try await hq.stop()
            try await expectAgreement(nodes)
        }
    }

    /// What hq is to send is vouched for by a file first, which cannot be opened either: then nothing is sent, and nothing is lost.
    @Test(.timeLimit(.minutes(5))) func withoutAnyDescriptorItLivesAndRecovers() async throws {
        let scene = try await Scene()
        let crowd = try await scene.starve()
        defer { crowd.disperse() }
        try await scene.nodes[0].insertArticle("meanwhile", "written while nothing could be opened")
        _ = try await eventually("its log says why: \(scene.hq.child.errors.suffix(1000))", within: 30) {
            scene.hq.child.errors.contains("Too many open files") ? true : nil
        }
        #expect(scene.hq.child.status == nil)
        #expect(try await scene.hq.queued() > 0)
        try await scene.feed()
        // Who waited is taken, and whoever comes.
        _ = try await eventually("those who waited are taken", within: 30) {
            try await scene.hq.held().values.contains { $0.address == "127.0.0.2" } ? true : nil
        }
        crowd.disperse()
        try await scene.expectRecovery()
        #expect(try await scene.antalya.headline("meanwhile") == "written while nothing could be opened")
    }

    /// While somebody waits whom it cannot take, it rests, and an operator finds in its log why nobody gets in.
    @Test(.timeLimit(.minutes(5))) func withoutAnyDescriptorItRestsAndSaysSo() async throws {
        let scene = try await Scene()
        let crowd = try await scene.starve()
        defer { crowd.disperse() }
        let (seconds, looks) = (try scene.hq.child.processorSeconds(), crowd.looks)
        // A look comes a fifth of a second after the one before, so that this lasts five seconds or more.
        _ = try await eventually("25 more looks", within: 60) { crowd.looks > looks + 25 ? true : nil }
        let computed = try scene.hq.child.processorSeconds() - seconds
        #expect(try await scene.hq.queued() == 8, "somebody was taken")
        #expect(computed < 1, "it computed for \(computed) s")
        #expect(scene.hq.child.errors.contains("Too many open files"), "\(scene.hq.child.errors.suffix(1000))")
        try await scene.feed()
        crowd.disperse()
        try await scene.expectRecovery()
    }
}
