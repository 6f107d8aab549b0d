// Whole histories from one number: random writes, sessions, cuts, windows, holds; then everyone meets and agrees.
import Chance
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct SeededRunTests {
    @Test(arguments: 1..<151)
    func whateverHappenedEveryoneAgreesInTheEnd(seed: Int) {
        let network = Network(seed: UInt64(seed))
        network.jitters = true
        var random = SeededRandom(seed: UInt64(seed) &* 7_919)
        let replicas = (1...3).map { FakeReplica(node(UInt64($0))) }
        func write() {
            let index = Int.random(in: 0..<3, using: &random)
            let large =
                Int.random(in: 0...5, using: &random) == 0 ? [Int.random(in: 257...200_000, using: &random)] : []
            replicas[index].write(as: origin(UInt64(index + 1)), large: large)
            network.changed(replicas[index])
        }
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            for _ in 0..<Int.random(in: 0...8, using: &random) { write() }
            let first = Int.random(in: 0..<3, using: &random)
            let second = (first + Int.random(in: 1...2, using: &random)) % 3
            let modes: [SyncMode] = [.pull, .push, .sync, .live, SyncMode(receive: true, send: false, live: true)]
            var limits = SessionLimits()
            limits.windowBytes = [1, 2_000, 100_000, 8 << 20].randomElement(using: &random) ?? 1
            limits.batchBytes = [1, 5_000, 4 << 20].randomElement(using: &random) ?? 1
            limits.readBytes = [1, 5_000, 4 << 20].randomElement(using: &random) ?? 1
            let holder = replicas[first]
            if Int.random(in: 0...3, using: &random) == 0 { holder.holdsOrigins = [origin(UInt64(second + 1))] }
            if Int.random(in: 0...3, using: &random) == 0 { replicas[second].memory = [:] }
            if Int.random(in: 0...3, using: &random) == 0 { holder.roster.insert([UInt8(seed % 250)]) }
            let mode = modes.randomElement(using: &random) ?? .pull
            let pair = network.connect(replicas[first], replicas[second], mode, limits: limits)
            let cut = Int64.random(in: 0...600_000, using: &random)
            if Bool.random(using: &random) { network.world.schedule(after: cut) { pair.answerer.cut() } }
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                write()
                network.world.run(milliseconds: Int64.random(in: 0...60, using: &random))
            }
            for one in holder.holdsOrigins { holder.release(one) }
            network.changed(holder)
            network.world.run(milliseconds: 20_000)
            if mode.live { pair.dialler.give(.stop) }
            network.world.run(milliseconds: 2_000)
            #expect(pair.dialler.closings == 1 && pair.answerer.closings == 1, "every session ends")
            for endpoint in [pair.dialler, pair.answerer] {
                if case .violated(let violation) = endpoint.ending { Issue.record("\(violation)") }
                if case .failed(let notice) = endpoint.ending { Issue.record("\(notice)") }
                if case .timedOut(let timer) = endpoint.ending { Issue.record("\(timer)") }
                guard let other = endpoint.other, let observation = endpoint.observation else { continue }
                #expect(other.replica.applied.covers(observation.applied), "nothing is believed that is not so")
            }
        }
        for (first, second) in [(0, 1), (1, 2), (2, 0)] {
            let last = network.exchange(replicas[first], replicas[second], .sync, milliseconds: 60_000)
            #expect(last.dialler.ending == .completed && last.answerer.ending == .completed)
        }
        for (first, second) in [(0, 1), (1, 2)] {
            network.exchange(replicas[first], replicas[second], .sync, milliseconds: 60_000)
        }
        #expect(replicas.allSatisfy { $0.applied == replicas[0].applied && $0.log.count == replicas[0].log.count })
        #expect(replicas.allSatisfy { $0.rosterDigest == replicas[0].rosterDigest })
        #expect(network.allComplaints == [])
    }
}
