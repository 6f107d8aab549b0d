// What a running node refuses, beside what its parts refuse.

/// A failure of the node, for the person who must mend it.
public struct NodeError: Error, Sendable, CustomStringConvertible {
    /// What kind; scripts see it as an exit status.
    public enum Code: Sendable, Equatable { case noPeer, refused, busy, usage, unusable }
    public let code: Code
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
