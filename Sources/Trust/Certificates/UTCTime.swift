// Times in messages for people.
//
// Invariant: the text is RFC 3339 in UTC, to the second, for every year from 0 to 9999.

internal import ReplicationModel

/// "2026-02-03T04:05:06Z". Days to a date by the proleptic Gregorian calendar, in eras of 400 years.
func utc(_ time: WallClock) -> String {
    let bounded = min(max(time.milliseconds, -62_167_219_200_000), 253_402_300_799_999)
    let milliseconds = bounded - (bounded % 86_400_000 + 86_400_000) % 86_400_000
    let seconds = (bounded - milliseconds) / 1000
    // Counted from 1 March of the year -400, so that no day is negative.
    let days = milliseconds / 86_400_000 + 719_468 + 146_097
    let era = days / 146_097 - 1
    let dayOfEra = days % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    // Months counted from March.
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0)
    func padded(_ number: Int64, _ width: Int = 2) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
    return "\(padded(year, 4))-\(padded(month < 10 ? month + 3 : month - 9))-\(padded(day))T"
        + "\(padded(seconds / 3600)):\(padded(seconds / 60 % 60)):\(padded(seconds % 60))Z"
}
