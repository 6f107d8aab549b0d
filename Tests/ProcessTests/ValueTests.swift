// Values of every kind arrive with their types and their bytes.
import Testing

@Suite(.serialized) struct ValueTests {
    private static let write = """
        import sqlite3, sys, struct
        c = sqlite3.connect(sys.argv[1])
        numbers = [2**63 - 1, -2**63, 0, 1, -1, 2**53 + 1]
        doubles = [-0.0, 0.0, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), 0.1, 1/3, 1.0, 9007199254740993.0]
        blobs = [b"", b"\\x00", bytes(range(256)), b"\\xff" * 300]
        # As text, byte for byte: through a parameter that is cast, since Python's text must be valid.
        texts = [b"", b"a\\x00b", b"\\x00", b"\\xff\\xfe\\x80", b"\\xc3\\x28 then \\xed\\xa0\\x80", "\\u0130stanbul \\U0001f5de".encode(),
            b"x\\x00" * 200, b"\\xff" * 257]
        n = 0
        def insert(expression, value):
            global n
            n += 1
            c.execute("INSERT INTO commitments(id, title, notes) VALUES (?, 'v', %s)" % expression, ("v%03d" % n, value))
        for v in [None] + numbers + doubles + blobs: insert("?", v)
        for t in texts: insert("CAST(? AS TEXT)", t)
        large = bytes((i * 7) % 251 for i in range(8 << 20))
        insert("?", large)
        insert("CAST(? AS TEXT)", large)
        insert("?", "")
        c.commit()
        try:
            c.execute("INSERT INTO commitments(id, notes) VALUES ('big', ?)", (large + b"x",))
            print("taken")
        except sqlite3.Error as error:
            print(error)
        """

    private static let read = """
        import sqlite3, sys, hashlib, struct
        c = sqlite3.connect(sys.argv[1])
        c.text_factory = bytes
        for id, kind, value in c.execute("SELECT id, typeof(notes), notes FROM commitments ORDER BY id"):
            if isinstance(value, float): value = struct.pack(">d", value)
            if isinstance(value, int): value = b"%d" % value
            if value is None: value = b""
            shown = value.hex() if len(value) < 600 else hashlib.sha256(value).hexdigest()
            print(id.decode(), kind.decode(), len(value), shown)
        """

    @Test(.timeLimit(.minutes(10))) func everyValueArrivesAsItWas() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let refusal = try await hq.python(Self.write)
        #expect(refusal.contains("8 MiB"), "\(refusal)")
        let server = try await hq.serve()
        try await istanbul.exchange("pull", server)
        let (there, here) = (try await hq.python(Self.read), try await istanbul.python(Self.read))
        let lines = there.split(separator: "\n").map(String.init)
        #expect(lines.count == 32)
        expectEqualLines(lines, here.split(separator: "\n").map(String.init), "hq", "istanbul")
        // The columns of the news are TEXT, so that SQLite turns numbers into text before anything is captured; numbers as
        // such are in the store's own tests.
        #expect(lines.contains { $0.hasPrefix("v001 null 0") })
        #expect(lines.contains { $0.contains(" text 3 610062") }, "text with a NUL")
        #expect(lines.contains { $0.contains(" text 3 fffe80") }, "invalid UTF-8")
        #expect(lines.contains { $0.contains(" blob 0 ") } && lines.contains { $0.contains(" text 0 ") })
        #expect(lines.filter { $0.contains(" \(8 << 20) ") }.count == 2)
        try await server.stop()
        try await expectAgreement(nodes)
    }
}
