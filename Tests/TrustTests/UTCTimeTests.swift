import Foundation
import ReplicationModel
import Testing

@testable import Trust

@Suite struct UTCTimeTests {
    @Test func timesAreWrittenAsFoundationWritesThem() {
        let formatter = ISO8601DateFormatter()
        // A step that meets every month and times before 1970; Foundation leaves the Gregorian calendar in 1582.
        for milliseconds in stride(from: Int64(-11_000_000_000_000), through: 60_000_000_000_000, by: 977_654_321_000) {
            let expected = formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1000))
            #expect(utc(WallClock(milliseconds: milliseconds)) == expected)
        }
        #expect(utc(WallClock(milliseconds: 951_782_400_000)) == "2000-02-29T00:00:00Z")
        #expect(utc(WallClock(milliseconds: .max)) == "9999-12-31T23:59:59Z")
        #expect(utc(WallClock(milliseconds: .min)) == "0000-01-01T00:00:00Z")
    }
}
