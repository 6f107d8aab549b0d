// Times as text: every month, leap days, before 1970, and the ends of what can be written.
import Foundation
import ReplicationModel
import Testing

@Suite struct CalendarTimeTests {
    @Test func timesAreWrittenAsFoundationWritesThem() {
        let formatter = ISO8601DateFormatter()
        // A step that meets every month and times before 1970; Foundation leaves the Gregorian calendar in 1582.
        for milliseconds in stride(from: Int64(-11_000_000_000_000), through: 60_000_000_000_000, by: 977_654_321_000) {
            let expected = formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1000))
            let time = WallClock(milliseconds: milliseconds)
            #expect(rfc3339(time) == expected)
            #expect(rfc3339(time, to: .milliseconds) == expected.dropLast() + ".000Z")
        }
        #expect(rfc3339(WallClock(milliseconds: 951_782_400_000)) == "2000-02-29T00:00:00Z")
        #expect(rfc3339(WallClock(milliseconds: 7), to: .milliseconds) == "1970-01-01T00:00:00.007Z")
        #expect(rfc3339(WallClock(milliseconds: -1), to: .milliseconds) == "1969-12-31T23:59:59.999Z")
        #expect(rfc3339(WallClock(milliseconds: .max)) == "9999-12-31T23:59:59Z")
        #expect(rfc3339(WallClock(milliseconds: .min), to: .milliseconds) == "0000-01-01T00:00:00.000Z")
    }

    @Test func daysAndDatesAreInverse() {
        var before = CivilDate(daysSince1970: -800_001)
        for day in -800_000..<800_000 {
            let date = CivilDate(daysSince1970: day)
            guard date.daysSince1970 == day, date != before, (1...12).contains(date.month), (1...31).contains(date.day)
            else {
                Issue.record("\(day) is \(date)")
                return
            }
            before = date
        }
    }
}
