// Numbers, sizes and times as people read them.

import Foundation
import ReplicationModel
import Trust

enum Figures {
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

    /// `4 s`, `3 min`, `5 h`, `12 d`; nothing lasts less than no time, whatever a clock that was set back says.
    static func duration(seconds: Double) -> String {
        switch max(seconds, 0) {
        case ..<1: "\(Int((max(seconds, 0) * 1000).rounded())) ms"
        case ..<120: "\(Int(seconds.rounded())) s"
        case ..<7200: "\(Int((seconds / 60).rounded())) min"
        case ..<172_800: "\(Int((seconds / 3600).rounded())) h"
        default: "\(Int((seconds / 86400).rounded())) d"
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    static func time(_ time: WallClock) -> String { rfc3339(time, to: .milliseconds) }

    /// `a writer`, `an admin`.
    static func role(_ role: MemberRole) -> String { (role == .admin ? "an " : "a ") + role.rawValue }

    static func now() -> WallClock { WallClock(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded())) }
}
