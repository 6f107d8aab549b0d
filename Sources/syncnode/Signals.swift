// Which signals end a command, and how.
//
// Invariant: SIGTERM always ends it. SIGINT and SIGHUP do unless whoever started the program had it ignore them, as a shell
// without job control does for `command &`, and as `nohup` does: a Ctrl-C is then meant for something else.

import Foundation
import Synchronization
import UnixSignals

enum Signals {
    /// SIGINT and SIGHUP are heeded, as they were when the program began.
    private static let heeded: [Int32] = [SIGINT, SIGHUP].filter { !isIgnored($0) }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// To be called before anything else looks at signals. A command that does not ask for more is ended by them as any program
    /// is, wherever it stands: every commit leaves the replica whole.
    static func begin() {
        _ = heeded
        if isIgnored(SIGTERM) { signal(SIGTERM, SIG_DFL) }
        // A program that starts others from a thread which blocks signals, as Dispatch's do, hands that on without meaning to.
        var blocked = sigset_t()
        sigemptyset(&blocked)
        for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&blocked, number) }
        pthread_sigmask(SIG_UNBLOCK, &blocked, nil)
    }

    /// Those that a command ends by, cleanly, where it ends by itself only then.
    static var ending: [UnixSignal] {
        [.sigterm] + (heeded.contains(SIGINT) ? [.sigint] : []) + (heeded.contains(SIGHUP) ? [.sighup] : [])
    }

    fileprivate static var interrupting: [Int32] { [SIGTERM] + heeded }
}

/// The signals that end a command, as a call, for as long as this lives. The call is for the first; whoever sends a second does not
/// want to wait for what the command still does, and it ends as if it had not looked at signals.
final class Interrupt {
    private let sources: [any DispatchSourceSignal]
    private let numbers = Signals.interrupting

    init(_ action: @escaping @Sendable () -> Void) {
        let hasCome = Mutex(false)
        sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                let isFirst = hasCome.withLock { hasCome in
                    defer { hasCome = true }
                    return !hasCome
                }
                if isFirst { return action() }
                signal(number, SIG_DFL)
                kill(getpid(), number)
            }
            source.resume()
            return source
        }
    }

    func stop() {
        for source in sources { source.cancel() }
        for number in numbers { signal(number, SIG_DFL) }
    }
}
