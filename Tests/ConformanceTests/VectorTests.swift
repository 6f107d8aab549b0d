// The codec against vectors that another implementation wrote.
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct VectorTests {
    @Test(arguments: try VectorFile.load().accepted)
    func decodesAndEncodes(_ vector: VectorFile.Accepted) throws {
        let body = try bytes(vector.body)
        let expected = try vector.changeSet.model()
        let decoded = try ChangeSetCodec.decode(body)
        #expect(decoded == expected)
        #expect(try ChangeSetCodec.decodeHeader(body) == expected.header)
        #expect(ChangeSetCodec.encode(expected) == body)
        #expect(decoded.header.totalsAfter(bodyBytes: body.count) == (try vector.totalsAfter.model()))
        #expect(ChangeSetCodec.encodedSizeUpperBound(of: expected) >= body.count)
        // Names are compared by their bytes too: equality of strings is canonical equivalence.
        #expect(decoded.tables.map { Array($0.table.utf8) } == expected.tables.map { Array($0.table.utf8) })
    }

    @Test(arguments: try VectorFile.load().malformed)
    func refuses(_ vector: VectorFile.Malformed) throws {
        let body = try bytes(vector.body)
        let error = #expect(throws: ChangeSetFormatError.self) { try ChangeSetCodec.decode(body) }
        #expect(error?.rule.name == vector.rule, "\(String(describing: error))")
        #expect((0...body.count).contains(error?.offset ?? -1))
    }

    @Test func everyRuleHasAVector() throws {
        let rules = Set(try VectorFile.load().malformed.map(\.rule))
        #expect(
            rules == [
                "truncated", "trailing", "format", "varint", "limit", "order", "chain", "name", "fields", "kind",
                "cell", "register", "header",
            ])
    }

    @Test func theFirstVectorsAreAChain() throws {
        let chain = try VectorFile.load().accepted.prefix(3)
        for (earlier, later) in zip(chain, chain.dropFirst()) {
            let header = try ChangeSetCodec.decodeHeader(try bytes(later.body))
            #expect(header.previous.description == earlier.digest)
            #expect(header.totalsBefore == (try earlier.totalsAfter.model()))
        }
    }
}
