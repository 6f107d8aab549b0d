// A bar on standard error for work that a person waits for: only on a terminal, only after a second.

import Foundation
import ReplicationModel
import Synchronization

final class ProgressBar: Sendable {
    private struct State {
        var shown = false
        var lastDraw = Date.distantPast
    }

    private let title: String
    private let began = Date()
    private let state = Mutex(State())
    private let terminal = Terminal.error

    init(_ title: String) { self.title = title }

    /// - Parameters:
    ///   - total: nil where it is not known.
    ///   - note: what the numbers are, such as `change sets`.
    func update(done: UInt64, total: UInt64?, note: String) {
        guard terminal.isTerminal else { return }
        let now = Date()
        let draws = state.withLock { state in
            guard now.timeIntervalSince(began) > 1, now.timeIntervalSince(state.lastDraw) > 0.1 else { return false }
            state.shown = true
            state.lastDraw = now
            return true
        }
        guard draws else { return }
        var line = "\(title)  "
        if let total, total > 0 {
            let share = min(Double(done) / Double(total), 1)
            let filled = Int(share * 24)
            line += "[" + String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled) + "] "
            line += "\(Int(share * 100)) %  \(done.grouped) of \(total.grouped) \(note)"
        } else {
            line += "\(done.grouped) \(note)"
        }
        draw(line.prefix(max(terminal.width - 1, 20)))
    }

    /// Clears the line.
    func finish() {
        let wasShown = state.withLock { state in
            defer { state.shown = false }
            return state.shown
        }
        if wasShown { draw("") }
    }

    private func draw(_ line: Substring) { _ = Terminal.write(Data("\r\u{1b}[K\(line)".utf8), to: STDERR_FILENO) }
}
