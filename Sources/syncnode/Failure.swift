// From errors to what a person reads and a script sees: one text, one of sysexits' codes.
//
// Invariant: no error leaves the program as a trace or with a code of its own.

import ArgumentParser
import Foundation
import NewsStore
import NodeRuntime
import PeerTransport
import ReplicaStore
import ReplicationModel
import Trust

/// The exit codes scripts may rely on (sysexits.h).
enum ExitStatus: Int32 {
    case usage = 64
    case badData = 65
    case noInput = 66
    case unavailable = 69
    case inputOutput = 74
    case tryAgain = 75
    case refused = 77
    case configuration = 78
}

/// A failure that a command states itself.
struct CommandFailure: Error, CustomStringConvertible {
    let status: ExitStatus
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}

extension Syncnode {
    /// Says what went wrong on standard error, and ends the program.
    static func fail(_ error: any Error) -> Never {
        if error is ReaderLeft { ReaderLeft.end() }
        guard let status = status(of: error) else {
            guard GlobalOptions.standAlone(in: Array(CommandLine.arguments.dropFirst())) else {
                Syncnode.exit(withError: error)
            }
            fail(CommandFailure(.usage, "There are options, but no command. Name a command: see `syncnode --help`."))
        }
        report(error)
        Foundation.exit(status.rawValue)
    }

    /// Says what went wrong and lets the command go on.
    static func report(_ error: any Error) {
        let directory = GlobalOptions.directory(in: CommandLine.arguments)
        let text = (error as? SQLError)?.explained(at: directory + "/replica.sqlite") ?? "\(error)"
        let step = nextStep(error, directory, unless: text)
        say(Terminal.error.styled("syncnode:", .red, .bold) + " " + printable(step.map { "\(text)\n\($0)" } ?? text))
    }

    /// What to do, where the error itself cannot tell.
    private static func nextStep(_ error: any Error, _ directory: String, unless text: String) -> String? {
        if let error = error as? ReplicaError, [.notAReplica, .damaged].contains(error.code) {
            return text.contains("syncnode doctor") ? nil : "`syncnode doctor` says what to do."
        }
        // SQLite calls it an I/O error where the disk has no room for the files beside the database.
        guard !text.contains("make room"), status(of: error) == .inputOutput,
            let free = freeBytes(directory), free < fullBelow
        else { return nil }
        return "The disk is full: \(free.of("byte")) free under \(directory). Make room."
    }

    /// Bytes. With less, SQLite can hardly make its log and the index of it.
    private static let fullBelow: UInt64 = 1_000_000

    /// What this user may still write there; nil where nobody may write, or it cannot be told.
    private static func freeBytes(_ directory: String) -> UInt64? {
        var answer = statvfs()
        guard statvfs(directory, &answer) == 0, answer.f_blocks > 0, answer.f_flag & UInt(ST_RDONLY) == 0
        else { return nil }
        return UInt64(answer.f_bavail) * UInt64(answer.f_frsize)
    }

    /// Nil for what the argument parser itself reports: wrong usage, help, a plain exit code. Those below it have names of
    /// their own: among overloads the optional result would make this one the best match, and it would call itself.
    private static func status(of error: any Error) -> ExitStatus? {
        switch error {
        case let error as CommandFailure: error.status
        case let error as ReplicaError: status(replica: error)
        case let error as SQLError: status(sql: error)
        case let error as TrustError: status(trust: error)
        case is CertificateRefusal: .badData
        case let error as NodeError: status(node: error)
        case let error as NewsError: status(news: error)
        case let error as TransportError: status(transport: error)
        case is CancellationError: .tryAgain
        case is ExitCode, is CleanExit, is ValidationError: nil
        default:
            "\(type(of: error))".contains("CommandError") || "\(type(of: error))".contains("ParserError")
                ? nil : .inputOutput
        }
    }

    private static func status(replica error: ReplicaError) -> ExitStatus {
        switch error.code {
        case .absent, .noKey, .notAReplica, .tooNew, .schema: .configuration
        case .exists, .input: .usage
        case .damaged, .fork: .badData
        case .refused: .refused
        case .inputOutput: .inputOutput
        case .closed, .busy: .tryAgain
        }
    }

    /// SQLITE_CONSTRAINT_TRIGGER: RAISE() in a trigger, as capture does it.
    private static let triggerRaised: Int32 = 1811

    private static func status(sql error: SQLError) -> ExitStatus {
        if error.isBusy { return .tryAgain }
        if error.isCorrupt { return .badData }
        // A trigger's word is about the value that was given; any other constraint is the engine's own.
        if error.code == triggerRaised { return .usage }
        return .inputOutput
    }

    private static func status(transport error: TransportError) -> ExitStatus {
        if error.code == .invalidEndpoint { return .usage }
        return error.isRefusal ? .refused : .unavailable
    }

    private static func status(trust error: TrustError) -> ExitStatus {
        switch error.code {
        case _ where error.isRefusal: .refused
        case .notFound, .exposedFile: .configuration
        case .alreadyExists, .invalidName: .usage
        case .malformed, .mismatch: .badData
        default: .inputOutput
        }
    }

    private static func status(node error: NodeError) -> ExitStatus {
        switch error.code {
        case .noPeer: .noInput
        case .refused: .refused
        case .busy: .tryAgain
        case .usage: .usage
        case .unusable: .inputOutput
        }
    }

    static func status(news error: NewsError) -> ExitStatus {
        switch error.code {
        case .badArgument, .ambiguous: .usage
        case .badInput: .badData
        case .notFound: .noInput
        default: .inputOutput
        }
    }
}
