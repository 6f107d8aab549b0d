// The one error type of the news store.
//
// Invariant: every error says what was tried, on what, why it failed and what to do next; none carries a row's body.

/// Why an operation on articles or commitments was refused.
public struct NewsError: Error, Hashable, Sendable {
    /// What kind of failure it is. More kinds may come; each belongs to one exit code of the command line.
    public struct Code: Hashable, Sendable {
        /// A stable name, in snake_case.
        public let name: String

        /// A value, field or option that the caller gave is wrong (usage, exit 64).
        public static let badArgument = Code(name: "bad_argument")
        /// What is being imported is malformed (exit 65).
        public static let badInput = Code(name: "bad_input")
        /// No such row or file (exit 66).
        public static let notFound = Code(name: "not_found")
        /// A prefix names more than one row (usage, exit 64).
        public static let ambiguous = Code(name: "ambiguous")
        /// Reading a file failed (exit 74).
        public static let inputOutput = Code(name: "input_output")
    }

    /// The kind of failure.
    public let code: Code
    /// What was tried: `import`, `set`, …
    public let operation: String
    /// On what: a file and line, a row, a field.
    public let object: String
    /// Why it failed.
    public let cause: String
    /// What to do next.
    public let nextStep: String

    /// An error with all its parts.
    public init(_ code: Code, operation: String, object: String, cause: String, nextStep: String) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.nextStep = nextStep
    }
}

extension NewsError: CustomStringConvertible {
    /// Two lines for people.
    public var description: String { "\(operation) \(object): \(cause)\n\(nextStep)" }
}
