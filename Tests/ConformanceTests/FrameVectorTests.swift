// The frames of the exchange against vectors that another encoder wrote, in both directions.
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct FrameVectorTests {
    /// Protobuf lets a writer choose; these are the bytes of one that writes fields in order, numbers packed, and no defaults.
    /// This one does, so its bytes are the vector's.
    @Test(arguments: try FrameVectorFile.load().accepted)
    func decodesAndEncodes(_ vector: FrameVectorFile.Vector) throws {
        let expected = try vector.frame.model()
        #expect(try FrameCodec.decode(try bytes(vector.bytes)) == expected)
        #expect(FrameCodec.encode(expected) == (try bytes(vector.bytes)))
    }

    /// What other writers may choose is read alike; written, it becomes an encoding that reads alike.
    @Test(arguments: try FrameVectorFile.load().alternatives)
    func decodesOtherEncodings(_ vector: FrameVectorFile.Vector) throws {
        let expected = try vector.frame.model()
        #expect(try FrameCodec.decode(try bytes(vector.bytes)) == expected)
        let written = FrameCodec.encode(expected)
        #expect(written != (try bytes(vector.bytes)))
        #expect(try FrameCodec.decode(written) == expected)
    }

    @Test(arguments: try FrameVectorFile.load().malformed)
    func refuses(_ vector: FrameVectorFile.Malformed) throws {
        let error = #expect(throws: FrameError.self) { try FrameCodec.decode(try bytes(vector.bytes)) }
        #expect(error?.isTooLarge == (vector.rule == "too_large"), "\(String(describing: error))")
    }

    @Test func everyKindHasAVector() throws {
        let kinds = Set(try FrameVectorFile.load().accepted.map(\.frame.kind))
        #expect(
            kinds == [
                "greeting", "wholeVector", "rosterRecords", "changeSet", "values", "streamEnd", "acknowledgement",
                "announcement", "thirdNodes", "ping", "pong", "error", "goodbye", "question", "again", "answer",
                "headsQuestion", "heads", "histories",
                "comparisonQuestion", "comparisonAnswer", "joinRequest", "joinResponse",
            ])
    }
}
