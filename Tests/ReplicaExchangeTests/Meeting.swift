// Two real replicas and their stores, and a session between them stepped without a network: frames go through their bytes.
import Foundation
import ReplicaExchange
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Synchronization
import Testing
import Trust

/// One node: its replica, and its word on who it is.
final class Member {
    let certificate: Certificate
    let replica: Replica
    let store: SessionStore

    init(_ certificate: Certificate, _ replica: Replica, _ authority: CertificateAuthority, knowing all: [Certificate])
        throws
    {
        self.certificate = certificate
        self.replica = replica
        try replica.addRosterRecords(all.map(\.der))
        store = try SessionStore(replica: replica, authority: authority.certificate)
    }

    /// One change set.
    func write(_ sql: String, _ arguments: [Value] = []) throws {
        try replica.write { try $0.execute(sql, arguments) }
        try replica.seal()
    }

    func notes() throws -> [[Value]] {
        try replica.read { try $0.query("SELECT * FROM notes ORDER BY id").map(\.values) }
    }
}

/// A high-water mark that the disk does not take back.
final class MemoryMark: HighWaterMarkStorage {
    private let reading = Mutex(HighWaterReading.absent)
    func read() throws -> HighWaterReading { reading.withLock { $0 } }
    func update(_ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        try reading.withLock { if let mark = try body($0) { $0 = .mark(mark) } }
    }
}

/// A clock that tests set.
final class TestClock: Sendable {
    private let milliseconds = Mutex<Int64>(1_790_000_000_000)
    var now: WallClock { WallClock(milliseconds: milliseconds.withLock { $0 }) }
    func advance(_ by: Int64) { milliseconds.withLock { $0 += by } }
}

/// A workspace in a temporary directory.
final class Desk {
    private static let notes = Table("notes", columns: [Column("title"), Column("body")])
    private let directory = FileManager.default.temporaryDirectory.appendingPathComponent("exchange-\(UUID())")
    let clock = TestClock()
    private let authority: CertificateAuthority
    private let workspace = Workspace(id: WorkspaceID(Identifier128(high: 1, low: 2)), name: "desk")
    private let keys: [SigningKey]
    private(set) var members: [Member] = []

    /// Everyone knows everyone's certificate.
    init(_ names: String...) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let now = clock.now
        let authority = try CertificateAuthority(workspace: workspace.id, workspaceName: workspace.name, now: now)
        self.authority = authority
        keys = names.map { _ in SigningKey.generate() }
        let certificates = try zip(keys, names).map { key, name in
            try authority.issue(to: key.publicKey, name: name, role: .writer, now: now)
        }
        for (index, name) in names.enumerated() {
            let replica = try Replica.create(
                at: path(name), workspace: workspace, key: keys[index], incarnation: UInt64(index + 1),
                tables: [Self.notes], mark: MemoryMark(), clock: { [clock] in clock.now })
            members.append(try Member(certificates[index], replica, authority, knowing: certificates))
        }
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func path(_ name: String) -> String { directory.appendingPathComponent("\(name).sqlite").path }

    /// A second machine that goes on from a copy of a member's replica, with the same key.
    func twin(of index: Int) throws -> Member {
        let copy = path("twin-\(index)")
        try members[index].replica.backup(to: copy)
        let replica = try Replica.open(
            at: copy, key: keys[index], tables: [Self.notes], clock: { [clock] in clock.now })
        return try Member(members[index].certificate, replica, authority, knowing: members.map(\.certificate))
    }

    /// A record that puts a member out; so much of what it wrote counts.
    func revocation(of index: Int, accepting last: UInt64 = 0) throws -> [UInt8] {
        let replica = members[index].replica
        let accepted = last == 0 ? [:] : [try replica.origin.incarnation: SequenceNumber(last)]
        return try authority.revoke(replica.node, lastAccepted: accepted, reason: "", now: clock.now).bytes
    }

    func advance(_ by: Int64) { clock.advance(by) }

    /// The time of both sides of a meeting.
    var now: Moment {
        Moment(uptime: Uptime(microseconds: clock.now.milliseconds * 1_000), wall: clock.now)
    }
}

/// A session between two members.
final class Meeting {
    final class Side {
        let member: Member
        let peer: NodeID
        let exchange = ExchangeState()
        var session: SyncSession
        var timers: [SessionTimer: Uptime] = [:]
        fileprivate(set) var sent: [ExchangeFrame] = []
        fileprivate(set) var ending: SessionEnding?

        init(_ member: Member, _ peer: Member, _ role: SessionRole, at now: Moment) throws {
            self.member = member
            self.peer = peer.replica.node
            let (local, memory) = try member.store.begin(exchange, with: self.peer)
            session = SyncSession(
                SessionConfiguration(
                    role: role, workspace: member.replica.workspace.id, node: member.replica.node, peer: self.peer,
                    software: "test", local: local, memory: memory), at: now)
        }
    }

    private let desk: Desk
    let dialling: Side
    let answering: Side
    private var waiting: [(Side, SessionInput)] = []

    /// Both greet, and go on until neither has anything to do.
    @discardableResult
    init(_ desk: Desk, _ dialler: Member, _ answerer: Member, _ mode: SyncMode) throws {
        self.desk = desk
        dialling = try Side(dialler, answerer, .dialling(mode), at: desk.now)
        answering = try Side(answerer, dialler, .answering, at: desk.now)
        waiting = [(answering, .opened), (dialling, .opened)]
        try run()
    }

    /// A replica changed, by whoever.
    func changed(_ member: Member) throws {
        for side in [dialling, answering] where side.member === member && side.ending == nil {
            waiting.append((side, try member.store.change(side.exchange, with: side.peer)))
        }
        try run()
    }

    /// Time passes, and timers fire.
    func pass(milliseconds: Int64) throws {
        desk.advance(milliseconds)
        for side in [dialling, answering] {
            for (timer, deadline) in side.timers where deadline <= desk.now.uptime {
                side.timers[timer] = nil
                waiting.append((side, .timer(timer)))
            }
        }
        try run()
    }

    private func run() throws {
        while !waiting.isEmpty {
            let (side, input) = waiting.removeFirst()
            for output in side.session.handle(input, at: desk.now) { try perform(output, of: side) }
        }
    }

    private func perform(_ output: SessionOutput, of side: Side) throws {
        let other = side === dialling ? answering : dialling
        switch output {
        case .send(let frame):
            side.sent.append(frame)
            waiting.append((other, .frame(try FrameCodec.decode(FrameCodec.encode(frame)))))
        case .setTimer(let timer, let deadline): side.timers[timer] = deadline
        case .cancelTimer(let timer): side.timers[timer] = nil
        case .rememberPeer(let observation): try side.member.store.remember(observation, live: false)
        case .rememberThirdNodes(let nodes): try side.member.store.remember(nodes, toldBy: side.peer)
        case .event: break
        case .close(let ending, _):
            side.ending = ending
            waiting.append((other, .transportClosed("closed by the peer")))
        default:
            let answer = try #require(side.member.store.answer(output, with: side.peer, side.exchange))
            if let failure = answer.failure { throw failure }
            waiting += answer.inputs.map { (side, $0) }
            waiting.append((side, try side.member.store.change(side.exchange, with: side.peer)))
        }
    }
}
