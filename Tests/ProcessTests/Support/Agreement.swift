// Whether replicas agree: the contents of every replicated table, deleted rows, versions, vector and ledger.
import Testing

/// Everything that must be equal where vectors are, read by a program that shares no code with the engine.
private let dumpProgram = """
    import sqlite3, sys
    connection = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True, timeout=60)
    connection.text_factory = bytes
    connection.execute("BEGIN")
    def shown(value):
        if isinstance(value, bytes): return value.hex()
        return repr(value)
    def rows(label, query):
        lines = []
        for row in connection.execute(query):
            lines.append(label + " " + " | ".join(str(t.decode() if isinstance(t, bytes) else shown(t)) for t in row))
        for line in sorted(lines): print(line)
    def cells(columns):
        return ", ".join("typeof(\\"%s\\"), CASE typeof(\\"%s\\") WHEN 'real' THEN printf('%%!.17g', \\"%s\\") ELSE hex(\\"%s\\") END" % (c, c, c, c) for c in columns)
    for (name,) in connection.execute("SELECT name FROM sync_tables ORDER BY name").fetchall():
        table = name.decode()
        columns = [c[1].decode() for c in connection.execute('PRAGMA table_info("%s")' % table)]
        rows(table, 'SELECT %s FROM "%s"' % (cells(sorted(columns)), table))
        buried = [c[1].decode() for c in connection.execute('PRAGMA table_info("sync_graveyard_%s")' % table)]
        rows("graveyard " + table, 'SELECT %s FROM "sync_graveyard_%s"' % (cells(sorted(buried)), table))
        rows("alive " + table, 'SELECT hex(id), alive FROM "sync_rows_%s"' % table)
        # The greatest of all writes known of a register is current; an insert's version stands for its shape's fields.
        current = {}
        def write(row, field, stamp, origin):
            current[(row, field)] = max(current.get((row, field), (-1, b"")), (stamp, origin))
        for row, shape, stamp, origin in connection.execute('SELECT r.id, s.fields, r.stamp, o.origin FROM "sync_rows_%s" r JOIN sync_shapes s ON s.number = r.shape JOIN sync_origins o ON o.number = r.origin' % table):
            for field in [0] + [int(f) for f in shape.split(b",") if f]: write(row, field, stamp, origin)
        for row, field, stamp, origin in connection.execute('SELECT r.id, v.field, v.stamp, o.origin FROM "sync_versions_%s" v JOIN "sync_rows_%s" r ON r.row = v.row JOIN sync_origins o ON o.number = v.origin' % (table, table)):
            write(row, field, stamp, origin)
        names = dict(connection.execute("SELECT number, name FROM sync_fields"))
        for line in sorted("register %s %s %s %s %s" % (table, row.hex(), names.get(field, b"(row)").decode(), stamp, origin.hex()) for (row, field), (stamp, origin) in current.items()): print(line)
    rows("vector", "SELECT hex(origin), applied FROM sync_origins WHERE applied > 0")
    rows("log", "SELECT hex(o.origin), c.seq, hex(c.digest) FROM sync_change_sets c JOIN sync_origins o ON o.number = c.origin")
    rows("held", "SELECT hex(origin), seq, cause FROM sync_held")
    """

extension Node {
    /// One line for each fact.
    func dump() async throws -> [String] {
        try await python(dumpProgram).split(separator: "\n").map(String.init)
    }

    /// The ledger as the program shows it.
    func ledger() async throws -> JSON { try await json("conflicts", "list", "--all") }
}

/// That these replicas are equal in all that must be equal, and sound.
func expectAgreement(_ nodes: [Node], _ location: SourceLocation = #_sourceLocation) async throws {
    let first = try await nodes[0].dump()
    let ledger = try await nodes[0].ledger()
    let vector = try await nodes[0].vector()
    #expect(!first.isEmpty, sourceLocation: location)
    for node in nodes.dropFirst() {
        expectEqualLines(first, try await node.dump(), nodes[0].name, node.name, location)
        #expect(try await node.ledger() == ledger, "\(node.name)", sourceLocation: location)
        #expect(try await node.vector() == vector, "\(node.name)", sourceLocation: location)
    }
    for node in nodes { try await node.expectSound(location) }
}

/// The same but for what is held, which is each node's own: who met whom before the word went round.
func expectAgreementButHeld(_ nodes: [Node], _ location: SourceLocation = #_sourceLocation) async throws {
    let first = try await nodes[0].dump().filter { !$0.hasPrefix("held ") }
    for node in nodes {
        let other = try await node.dump().filter { !$0.hasPrefix("held ") }
        expectEqualLines(first, other, nodes[0].name, node.name, location)
        #expect(try await node.ledger() == nodes[0].ledger(), "\(node.name)", sourceLocation: location)
        #expect(try await node.vector() == nodes[0].vector(), "\(node.name)", sourceLocation: location)
        try await node.expectSound(location)
    }
}

func expectEqualLines(
    _ left: [String], _ right: [String], _ leftName: String, _ rightName: String,
    _ location: SourceLocation = #_sourceLocation
) {
    guard left != right else { return }
    let (a, b) = (Set(left), Set(right))
    let onlyLeft = left.filter { !b.contains($0) }.prefix(5).map { String($0.prefix(300)) }
    let onlyRight = right.filter { !a.contains($0) }.prefix(5).map { String($0.prefix(300)) }
    Issue.record("only \(leftName): \(onlyLeft)\nonly \(rightName): \(onlyRight)", sourceLocation: location)
}
