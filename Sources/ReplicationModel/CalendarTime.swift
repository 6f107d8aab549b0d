// Days and dates, and wall-clock times as text, without Foundation: they must not depend on locale or platform.
//
// Invariant: the calendar is the proleptic Gregorian, as in Howard Hinnant's "chrono-compatible low-level date algorithms".

/// A date of the calendar.
public struct CivilDate: Hashable, Sendable {
    /// Astronomical: 0 is the year before 1.
    public let year: Int
    /// 1 to 12.
    public let month: Int
    /// 1 to 31.
    public let day: Int

    /// Puts one together, without a look at how long the month is.
    public init(year: Int, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The date of a day, counted from 1970-01-01.
    public init(daysSince1970 days: Int) {
        // Eras of 400 years, and years that begin in March, so that a leap day is a year's last.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    }

    /// The inverse.
    public var daysSince1970: Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// How exactly a time is written.
public enum TimePrecision: Sendable { case seconds, milliseconds }

/// RFC 3339 in UTC. Times outside the years 0 to 9999, which are all that it can write, are written as the nearest within.
public func rfc3339(_ time: WallClock, to precision: TimePrecision = .seconds) -> String {
    let bounded = Int(min(max(time.milliseconds, -62_167_219_200_000), 253_402_300_799_999))
    let days = (bounded >= 0 ? bounded : bounded - 86_399_999) / 86_400_000
    let millisecond = bounded - days * 86_400_000
    let second = millisecond / 1000
    let date = CivilDate(daysSince1970: days)
    func padded(_ number: Int, _ width: Int = 2) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    let fraction = precision == .milliseconds ? ".\(padded(millisecond % 1000, 3))" : ""
    return "\(padded(date.year, 4))-\(padded(date.month))-\(padded(date.day))T\(padded(second / 3600)):"
        + "\(padded(second / 60 % 60)):\(padded(second % 60))\(fraction)Z"
}
