// Numbers, sizes and times as people read them.

import Foundation
import ReplicationModel

enum Figures {
    /// `1,234,567`.
    static func count(_ value: some BinaryInteger) -> String {
        let digits = String(value.magnitude)
        var groups: [Substring] = []
        var rest = digits[...]
        while rest.count > 3 {
            groups.insert(rest.suffix(3), at: 0)
            rest = rest.dropLast(3)
        }
        return (value < 0 ? "-" : "") + ([rest] + groups).joined(separator: ",")
    }

    /// `1 article`, `2 articles`.
    static func count(_ value: some BinaryInteger, _ noun: String, _ plural: String? = nil) -> String {
        "\(count(value)) \(value == 1 ? noun : plural ?? noun + "s")"
    }

    /// `512 B`, `3.4 kB`, `12 MB`.
    static func bytes(_ value: some BinaryInteger) -> String {
        var size = Double(value)
        for unit in ["B", "kB", "MB", "GB"] {
            if size < 1000 || unit == "GB" {
                return unit == "B" || size >= 10
                    ? "\(Int(size.rounded())) \(unit)" : String(format: "%.1f %@", size, unit)
            }
            size /= 1000
        }
        return "\(value) B"
    }

    /// `4 s`, `3 min`, `5 h`, `12 d`.
    static func duration(seconds: Double) -> String {
        switch seconds {
        case ..<1: "\(Int((seconds * 1000).rounded())) ms"
        case ..<120: "\(Int(seconds.rounded())) s"
        case ..<7200: "\(Int((seconds / 60).rounded())) min"
        case ..<172_800: "\(Int((seconds / 3600).rounded())) h"
        default: "\(Int((seconds / 86400).rounded())) d"
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    static func time(_ time: WallClock) -> String {
        let days = Int((Double(time.milliseconds) / 86_400_000).rounded(.down))
        let milliseconds = Int(time.milliseconds) - days * 86_400_000
        let (year, month, day) = civil(days)
        let seconds = milliseconds / 1000
        return String(
            format: "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, seconds / 3600, seconds / 60 % 60,
            seconds % 60,
            milliseconds % 1000)
    }

    /// The calendar date of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    private static func civil(_ days: Int) -> (Int, Int, Int) {
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    static func now() -> WallClock { WallClock(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded())) }
}
