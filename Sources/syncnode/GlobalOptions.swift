// The options every command has.

import ArgumentParser
import Foundation

struct GlobalOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where this node lives: replica.sqlite and identity/. Else SYNCNODE_DATA, else $XDG_DATA_HOME/syncnode, else ~/.local/share/syncnode.",
            valueName: "dir"),
        completion: .directory)
    var data: String?

    @Flag(name: .long, help: "Print one JSON document on standard output.")
    var json = false

    func validate() throws {
        guard data?.isEmpty != true else {
            throw ValidationError("--data is empty: name a directory, or leave the option out.")
        }
    }

    /// The directory, by option, environment or habit.
    var directory: String { Self.directory(data) }

    static func directory(_ data: String?) -> String {
        let environment = ProcessInfo.processInfo.environment
        if let data { return absolute(data) }
        if let data = environment["SYNCNODE_DATA"], !data.isEmpty { return absolute(data) }
        if let base = environment["XDG_DATA_HOME"], !base.isEmpty { return absolute(base + "/syncnode") }
        return home + "/.local/share/syncnode"
    }

    /// As the shell has it: what `HOME` says counts before what the system's list of users does.
    private static var home: String {
        let home = ProcessInfo.processInfo.environment["HOME"] ?? ""
        return home.hasPrefix("/") ? home : NSHomeDirectory()
    }

    private static func absolute(_ path: String) -> String {
        if path == "~" || path.hasPrefix("~/") { return home + path.dropFirst() }
        let expanded = NSString(string: path).expandingTildeInPath
        return expanded.hasPrefix("/") ? expanded : FileManager.default.currentDirectoryPath + "/" + expanded
    }
}

extension GlobalOptions {
    /// The directory that a command line is about, for an error that does not say.
    static func directory(in arguments: [String]) -> String {
        let data = arguments.firstIndex(of: "--data").flatMap {
            arguments.indices.contains($0 + 1) ? arguments[$0 + 1] : nil
        }
        let joined = arguments.first { $0.hasPrefix("--data=") }.map { String($0.dropFirst("--data=".count)) }
        return directory(data ?? joined)
    }

    /// Puts `--data DIR` and `--json` behind a command where they were typed before it: the parser knows them only there.
    static func afterCommand(_ arguments: [String]) -> [String] {
        let (options, rest) = leading(arguments)
        guard !rest.isEmpty else { return arguments }
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        return rest[..<end] + options + rest[end...]
    }

    /// Whether nothing but these options was typed: the parser knows them only behind a command, and calls them unknown.
    static func standAlone(in arguments: [String]) -> Bool {
        let (_, rest) = leading(arguments)
        return !arguments.isEmpty && (rest.isEmpty || Array(rest) == ["--data"])
    }

    /// These options where they stand before any other word, and what follows them.
    private static func leading(_ arguments: [String]) -> (options: [String], rest: ArraySlice<String>) {
        var options: [String] = []
        var rest = arguments[...]
        while let word = rest.first {
            if word == "--data", rest.count > 1 {
                options += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if word == "--json" || word.hasPrefix("--data=") {
                options.append(word)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        return (options, rest)
    }
}
