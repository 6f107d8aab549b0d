import ReplicationModel
import Testing

@Suite struct CountedTests {
    @Test func oneOfAThingIsSingular() {
        #expect(1.of("change set") == "1 change set")
        #expect(0.of("change set") == "0 change sets")
        #expect(UInt64(2).of("entry", "entries") == "2 entries")
    }

    @Test func thousandsAreSetApart() {
        #expect(999.grouped == "999")
        #expect(Int64(-1_000).grouped == "-1,000")
        #expect(UInt64.max.grouped == "18,446,744,073,709,551,615")
        #expect(Int64.min.of("byte") == "-9,223,372,036,854,775,808 bytes")
    }
}
