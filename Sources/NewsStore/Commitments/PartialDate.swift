// Dates as reports give them: a day, a month or a year; and moments, as ninjs gives them.
//
// Invariant: reading and writing depend on no clock, calendar setting or locale.

internal import ReplicationModel

/// A date known to the day, the month or the year. Its text is ISO 8601 cut to what is known, so that texts sort as the
/// dates do.
public struct PartialDate: Hashable, Sendable {
    /// How much of the date is known.
    public enum Precision: String, Sendable, CaseIterable {
        case day, month, year
    }

    /// `YYYY-MM-DD`, `YYYY-MM` or `YYYY`.
    public let text: String

    /// Reads one of the three forms; a day that its month does not have gives nil.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard [4, 7, 10].contains(bytes.count), let year = decimal(bytes[0..<4]) else { return nil }
        if bytes.count >= 7 {
            guard bytes[4] == UInt8(ascii: "-"), let month = decimal(bytes[5..<7]), (1...12).contains(month) else {
                return nil
            }
            if bytes.count == 10 {
                guard bytes[7] == UInt8(ascii: "-"), let day = decimal(bytes[8..<10]),
                    (1...dayCount(year: year, month: month)).contains(day)
                else { return nil }
            }
        }
        self.text = String(decoding: bytes, as: UTF8.self)
    }

    /// A day; nil where the calendar has no such day.
    init?(year: Int, month: Int, day: Int) {
        self.init("\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))")
    }

    /// How much of it is known.
    public var precision: Precision {
        switch text.utf8.count {
        case 4: .year
        case 7: .month
        default: .day
        }
    }

    /// Whether all of it lies before `day`: a date known to the month has passed when the month has.
    public func hasPassed(on day: PartialDate) -> Bool {
        let count = min(text.utf8.count, day.text.utf8.count)
        return text.prefix(count) < day.text.prefix(count)
    }
}

func dayCount(year: Int, month: Int) -> Int {
    switch month {
    case 2: (year.isMultiple(of: 4) && !year.isMultiple(of: 100)) || year.isMultiple(of: 400) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
}

func decimal(_ digits: some Collection<UInt8>) -> Int? {
    guard !digits.isEmpty, digits.count <= 18 else { return nil }
    var number = 0
    for digit in digits {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
        number = number * 10 + Int(digit - UInt8(ascii: "0"))
    }
    return number
}

func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}

/// A moment as ninjs writes it (RFC 3339; a bare date counts as its midnight, UTC).
struct Moment: Hashable, Comparable {
    let milliseconds: Int64
    /// The calendar day as it was written, in the writer's own offset: the day that the story carries.
    let day: PartialDate

    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= 10, let day = PartialDate(String(decoding: bytes[..<10], as: UTF8.self)) else {
            return nil
        }
        guard let year = decimal(bytes[0..<4]), let month = decimal(bytes[5..<7]), let date = decimal(bytes[8..<10])
        else {
            return nil
        }
        self.day = day
        let midnight = Int64(CivilDate(year: year, month: month, day: date).daysSince1970) * 86_400_000
        guard bytes.count > 10 else {
            milliseconds = midnight
            return
        }
        guard bytes[10] == UInt8(ascii: "T") || bytes[10] == UInt8(ascii: "t") || bytes[10] == UInt8(ascii: " "),
            let time = timeOfDay(bytes[11...]), Self.writable.contains(midnight + time)
        else { return nil }
        milliseconds = midnight + time
    }

    /// What has four digits of year in UTC: an offset may lead out of that, and could not be written.
    private static let writable =
        Int64(CivilDate(year: 0, month: 1, day: 1).daysSince1970) * 86_400_000..<Int64(
            CivilDate(year: 10_000, month: 1, day: 1).daysSince1970) * 86_400_000

    /// UTC, to the millisecond where there is one.
    var text: String {
        rfc3339(WallClock(milliseconds: milliseconds), to: milliseconds % 1000 == 0 ? .seconds : .milliseconds)
    }

    static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }
}

/// `HH:MM[:SS[.fff…]]` and then `Z`, an offset or nothing, in milliseconds to be added to a UTC midnight.
private func timeOfDay(_ bytes: ArraySlice<UInt8>) -> Int64? {
    var rest = bytes
    func number(_ count: Int) -> Int? {
        guard rest.count >= count, let value = decimal(rest.prefix(count)) else { return nil }
        rest = rest.dropFirst(count)
        return value
    }
    func skip(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }
    guard let hour = number(2), hour < 24, skip(":"), let minute = number(2), minute < 60 else { return nil }
    var time = hour * 3_600_000 + minute * 60_000
    if skip(":") {
        guard let second = number(2), second <= 60 else { return nil }
        time += second * 1000
        if skip(".") {
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            guard let fraction = decimal((Array(digits.prefix(3)) + Array("00".utf8)).prefix(3)) else { return nil }
            time += fraction
            rest = rest.dropFirst(digits.count)
        }
    }
    if rest.isEmpty || skip("Z") || skip("z") { return rest.isEmpty ? Int64(time) : nil }
    let sign = skip("+") ? -1 : (skip("-") ? 1 : 0)
    guard sign != 0, let hours = number(2), hours < 24 else { return nil }
    _ = skip(":")
    guard let minutes = rest.isEmpty ? 0 : number(2), minutes < 60, rest.isEmpty else { return nil }
    return Int64(time + sign * (hours * 60 + minutes) * 60_000)
}

/// Today, in UTC, for commands that are given no date. Parsers never ask for it.
extension PartialDate {
    /// Today's date in UTC by this machine's clock.
    public static func todayUTC() -> PartialDate {
        let days = wallClockMilliseconds() / 86_400_000
        let today = CivilDate(daysSince1970: Int(days))
        return PartialDate(year: today.year, month: today.month, day: today.day) ?? PartialDate(unchecked: "1970-01-01")
    }

    private init(unchecked text: String) { self.text = text }
}
