// What is fuzzed: one function of bytes for each decoder that a stranger can reach.
//
// Invariant: a target ends for every input, traps for none, and throws `Finding` exactly where a property is broken. The
// libFuzzer driver and the ordinary tests run the same functions.

/// A decoder under test.
struct FuzzTarget: Sendable {
    /// By which `Deploy/fuzz` and the directories of inputs call it.
    let name: String
    /// Inputs longer than this find nothing that shorter ones do not.
    let maximumBytes: Int
    /// How many mutated inputs an ordinary test run tries; few where one input makes a database.
    let testRuns: Int
    /// Valid inputs to begin from.
    let seeds: @Sendable () throws -> [[UInt8]]
    /// Decodes, and checks what must hold of the result.
    let run: @Sendable ([UInt8]) throws -> Void

    init(
        _ name: String, maximumBytes: Int = 4096, testRuns: Int = 1000,
        seeds: @escaping @Sendable () throws -> [[UInt8]], run: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.maximumBytes = maximumBytes
        self.testRuns = testRuns
        self.seeds = seeds
        self.run = run
    }

    /// Every target, in the order in which `Deploy/fuzz` runs them.
    static let all: [FuzzTarget] = [
        .frame, .stream, .session, .changeSet, .changeSetParts, .apply, .comparisonQuestions, .comparisonAnswers,
        .forkProof, .forkSearch, .tls, .roster, .request, .admission, .invitation, .wire, .ninjs, .jsonLines, .json,
        .html,
        .search, .names,
    ]
}

/// A property that an input broke.
struct Finding: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Throws a finding unless the property holds.
func expect(_ holds: Bool, _ property: @autoclosure () -> String) throws {
    if !holds { throw Finding(property()) }
}
