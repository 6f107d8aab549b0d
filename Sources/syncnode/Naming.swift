// Origins by the names of their nodes: what the engine says in numbers, as a person reads it.
//
// Invariant: what is printed here can be typed back: `ORIGIN:SEQUENCE` is taken with the origin shortened as it is shown.

import NodeRuntime
import ReplicationModel

extension Node {
    /// `“laptop” 2d1cefbd`: the node's name, and as much of the incarnation as tells its origins apart.
    func short(_ origin: Origin) -> String { "“\(name(of: origin.node))” \(Self.short(incarnationOf: origin))" }

    /// The beginning of an origin's incarnation: what `--accept` takes for it.
    static func short(incarnationOf origin: Origin) -> String {
        String("\(origin)".split(separator: "-").last?.prefix(8) ?? "")
    }

    /// The same text, with every origin in it named as `short` does; in a command, that is between backticks, as it is typed.
    func naming(_ text: String) -> String {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { index, part in
            part.replacing(/[0-9a-f]{32}-[0-9a-f]{16}/) { match in
                guard let origin = Origin("\(match.output)") else { return "\(match.output)" }
                return index.isMultiple(of: 2) ? short(origin) : Self.short(incarnationOf: origin)
            }
        }.joined(separator: "`")
    }
}

extension Origin {
    /// Whether a person means this one: it begins so, or its incarnation does.
    func isMeant(by text: some StringProtocol) -> Bool {
        let text = text.lowercased()
        guard text.count >= 4 else { return false }
        return description.hasPrefix(text) || description.split(separator: "-").last?.hasPrefix(text) == true
    }
}
