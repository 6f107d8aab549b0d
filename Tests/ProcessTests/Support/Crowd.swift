// Many at the door at once: strangers, and members that have shown who they are, each crowd in a process of its own.
//
// Invariant: a crowd comes from addresses of its own, so that the limits for one address are its alone.
import Foundation
import ReplicationModel
import ReplicationWire
import Trust

struct Crowd: Sendable {
    let child: Child

    /// What it said last, each time it has looked at its connections; empty before.
    var told: [Int] { lines.last?.split(separator: " ").compactMap { Int($0) } ?? [] }

    /// How often it has looked at them.
    var looks: Int { lines.count }

    private var lines: [Substring] {
        let text = String(decoding: child.output, as: UTF8.self)
        return text[..<(text.lastIndex(of: "\n") ?? text.startIndex)].split(separator: "\n")
    }

    func disperse() { child.signal(SIGKILL) }

    // MARK: Strangers

    /// Tells how many connections it made, has, and could not make.
    private static let strangersProgram = """
        import socket, sys, time
        host, port, count, source, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], float(sys.argv[5])
        hello = bytes.fromhex("16030102000100" + "01fc0303") + bytes(506)
        made = failed = 0
        held = []
        def stays(one):
            try:
                if pause:
                    one[0].send(hello[one[1]:one[1] + 1])
                    one[1] += 1
                one[0].settimeout(0.0)
                return one[0].recv(1) != b""
            except BlockingIOError: return True
            except OSError: return False
        while True:
            while len(held) < count:
                s = socket.socket(); s.settimeout(2)
                try: s.bind((source, 0)); s.connect((host, port)); held.append([s, 0]); made += 1
                except OSError: failed += 1; s.close(); break
            staying = []
            for one in held:
                if stays(one): staying.append(one)
                else: one[0].close()
            held = staying
            print(made, len(held), failed, flush=True)
            time.sleep(pause or 0.2)
        """

    /// Wants so many connections from one address, and makes new ones for those that end.
    ///
    /// - Parameter pause: nothing is said; or, so many seconds apart, the bytes with which TLS begins.
    static func strangers(_ server: Server, _ count: Int, from source: String, pause: Double = 0) throws -> Crowd {
        Crowd(
            child: try Child(
                "python3", ["-c", strangersProgram, "127.0.0.1", "\(server.port)", "\(count)", source, "\(pause)"]))
    }

    /// Tells how many connections are open, under way, and over.
    private static let burstProgram = """
        import socket, sys, time
        host, port, count, network, addresses = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
        made = []
        for n in range(count):
            s = socket.socket(); s.bind(("%s.%d" % (network, n % addresses + 1), 0)); s.setblocking(False)
            s.connect_ex((host, port)); made.append(s)
        over = set()
        while True:
            under_way = 0
            for s in made:
                if s in over: continue
                try:
                    if s.recv(100) == b"": over.add(s)
                except BlockingIOError:
                    try: s.getpeername()
                    except OSError: under_way += 1
                except OSError: over.add(s)
            print(count - under_way - len(over), under_way, len(over), flush=True)
            time.sleep(0.1)
        """

    /// Dials so many times at one moment, in turn from the addresses NETWORK.1, NETWORK.2 and so on, says nothing, and dials
    /// no more.
    static func burst(_ server: Server, _ count: Int, from network: String, addresses: Int) throws -> Crowd {
        Crowd(
            child: try Child(
                "python3", ["-c", burstProgram, "127.0.0.1", "\(server.port)", "\(count)", network, "\(addresses)"]))
    }

    // MARK: Members

    /// Tells how many sessions are open.
    private static let membersProgram = """
        import socket, ssl, sys, time
        host, port, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
        members, count, network, addresses = int(sys.argv[4]), int(sys.argv[5]), sys.argv[6], int(sys.argv[7])
        def read(name): return open(directory + "/" + name, "rb").read()
        contexts = []
        for m in range(members):
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.check_hostname = False
            c.verify_mode = ssl.CERT_NONE
            c.set_alpn_protocols(["syncnode/1"])
            c.load_cert_chain("%s/%d/member.pem" % (directory, m), "%s/%d/key.pem" % (directory, m))
            contexts.append((c, read("%d/greeting" % m)))
        ping = read("ping")
        held = []
        pinged = time.monotonic()
        def stays(t, pings):
            try:
                t.settimeout(5)
                if pings: t.sendall(ping)
                t.settimeout(0.0)
                while t.recv(65536): pass
                return False
            except ssl.SSLWantReadError: return True
            except OSError: return False
        def look():
            global held, pinged
            pings = time.monotonic() > pinged + 5
            if pings: pinged = time.monotonic()
            held = [t for t in held if stays(t, pings)]
            print(len(held), flush=True)
        for n in range(count):
            context, greeting = contexts[n % members]
            s = socket.socket(); s.settimeout(60); s.bind(("%s.%d" % (network, n % addresses + 1), 0))
            s.connect((host, port))
            t = context.wrap_socket(s); t.sendall(greeting); held.append(t)
            if n % 50 == 0: look()
        while True:
            look()
            time.sleep(0.5)
        """

    /// So many sessions, in turn of so many members and from so many addresses; each is greeted, kept alive, and used for
    /// nothing.
    ///
    /// - Parameters:
    ///   - admin: admits the members, by its authority's key.
    ///   - directory: is made, for their keys.
    static func members(
        _ members: Int, sessions: Int, of admin: Node, at server: Server, in directory: String, from network: String,
        addresses: Int
    ) throws -> Crowd {
        let authority = try IdentityDirectory.open(path: admin.data + "/identity").certificateAuthority()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for number in 0..<members {
            let place = "\(directory)/\(number)"
            let identity = try IdentityDirectory.prepareToJoin(path: place)
            let certificate = try authority.issue(
                to: identity.key.publicKey, name: "member\(number)", role: .writer, now: now())
            try write(certificate.pem, to: place + "/member.pem")
            let greeting = ExchangeFrame.greeting(
                Greeting(
                    workspace: certificate.workspace, node: identity.node, clock: now(),
                    applied: VectorDelta(whole: VersionVector()), mode: .push, software: "crowd"))
            try write(greeting.onTheWire, to: place + "/greeting")
        }
        try write(ExchangeFrame.ping(number: 1, clock: now()).onTheWire, to: directory + "/ping")
        return Crowd(
            child: try Child(
                "python3",
                [
                    "-c", membersProgram, "127.0.0.1", "\(server.port)", directory, "\(members)", "\(sessions)",
                    network, "\(addresses)",
                ]))
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
}

extension ExchangeFrame {
    /// With its length before it.
    var onTheWire: [UInt8] {
        let bytes = FrameCodec.encode(self)
        return withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { Array($0) } + bytes
    }
}

extension Node {
    /// An article that is written here arrives there, through their live session.
    func carries(_ id: String, to other: Node, within seconds: Double = 30) async throws {
        try await insertArticle(id, "made it")
        _ = try await eventually("article \(id) of \(name) at \(other.name)", within: seconds) {
            try await other.headline(id) == "made it" ? true : nil
        }
    }
}
