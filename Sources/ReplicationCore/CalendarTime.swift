// Wall-clock times as text, without Foundation: causes are made here, and must not depend on locale or platform.
public import ReplicationModel

/// RFC 3339 in UTC, to the second. Days to a date as in Howard Hinnant's "chrono-compatible low-level date algorithms".
public func rfc3339(_ time: WallClock) -> String {
    // Years 0 to 9999, all that RFC 3339 can write.
    let total = min(max(time.milliseconds / 1000, -62_167_219_200), 253_402_300_799)
    let days = (total >= 0 ? total : total - 86_399) / 86_400
    let second = total - days * 86_400
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(second / 3600, 2)):"
        + "\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))Z"
}
