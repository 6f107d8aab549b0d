// SQLite on a virtual disk: what was committed survives the power going; what fails says so; the clock is the machine's.
import Chance
import ReplicaStore
import ReplicationModel
import Testing
import Trust

@testable import SimulationKit

@Suite(.timeLimit(.minutes(10))) struct VirtualDiskTests {
    private final class Box {
        let machine: Machine
        let key: SigningKey
        private let workspace = Workspace(id: WorkspaceID(Identifier128(high: 1, low: 2)), name: "test")

        init(seed: UInt64 = 1) {
            var random = SeededRandom(seed: seed)
            machine = Machine(random: random.forked("disk"))
            key = random.key()
        }

        func create() throws -> Replica {
            try Replica.create(
                at: "/r", in: machine.fileSystem, workspace: workspace, key: key, incarnation: 1,
                tables: SimulatedSchema.present, clock: { [machine] in machine.now })
        }

        func open() throws -> Replica {
            machine.disk.start()
            return try Replica.open(
                at: "/r", in: machine.fileSystem, key: key, tables: SimulatedSchema.present,
                clock: { [machine] in machine.now })
        }
    }

    private func titles(_ replica: Replica) throws -> [Value] {
        try replica.read { try $0.query("SELECT title FROM notes ORDER BY id").map { $0[0] } }
    }

    private func insert(_ number: Int, _ replica: Replica) throws {
        try replica.write {
            try $0.execute("INSERT INTO notes(id, title) VALUES (?, ?)", [Value("\(number)"), Value("t\(number)")])
        }
    }

    @Test(arguments: 0..<20) func whatWasCommittedSurvivesAPowerCut(seed: Int) throws {
        let box = Box(seed: UInt64(seed))
        var replica: Replica? = try box.create()
        for number in 0..<5 { if let replica { try insert(number, replica) } }
        try replica?.seal()
        let vector = try replica?.vectors().applied
        box.machine.disk.losePower()
        replica = nil
        let after = try box.open()
        #expect(try titles(after) == (0..<5).map { Value("t\($0)") })
        #expect(try after.vectors().applied == vector)
    }

    /// At every operation of a commit in turn: afterwards the row is there or not, and the file is whole.
    @Test(arguments: [DiskFault.kill, .powerCut]) func aCrashAtAnyOperationLeavesAllOrNothing(fault: DiskFault) throws {
        var outcomes: Set<Int> = []
        for operations in 0..<24 {
            let box = Box(seed: UInt64(operations))
            var replica: Replica? = try box.create()
            if let replica { try insert(0, replica) }
            box.machine.disk.failLater(after: operations, fault)
            do {
                if let replica { try insert(1, replica) }
                try replica?.seal()
            } catch is SQLError {
                #expect(box.machine.disk.isDown)
            }
            if fault == .powerCut { box.machine.disk.losePower() } else { box.machine.disk.kill() }
            replica = nil
            let after = try box.open()
            outcomes.insert(try titles(after).count)
            #expect(try after.quickCheck() == [])
        }
        #expect(outcomes == [1, 2])
    }

    @Test func aFailingWriteIsToldAndHarmless() throws {
        let box = Box()
        let replica = try box.create()
        try insert(0, replica)
        box.machine.disk.failLater(after: 0, .inputOutput)
        #expect(throws: SQLError.self) { try insert(1, replica) }
        try insert(2, replica)
        #expect(try titles(replica) == [Value("t0"), Value("t2")])
    }

    @Test func aFullDiskIsToldAsSuch() throws {
        let box = Box()
        let replica = try box.create()
        try replica.close()
        let again = try box.open()
        box.machine.disk.isFull = true
        let error = #expect(throws: SQLError.self) {
            for number in 0..<200 { try insert(number, again) }
        }
        #expect(error?.isFull == true)
        box.machine.disk.isFull = false
        try insert(1_000, again)
    }

    @Test func theTimeInSQLIsTheMachines() throws {
        let box = Box()
        let replica = try box.create()
        box.machine.clock.jump(byMilliseconds: -86_400_123, at: box.machine.time)
        try insert(0, replica)
        let at = try replica.read { try $0.query("SELECT at FROM sync_journal_notes").map { $0[0] } }
        #expect(at == [.integer(VirtualClock.epochMilliseconds - 86_400_123)])
    }
}
