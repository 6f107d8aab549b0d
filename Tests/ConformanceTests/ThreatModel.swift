// The threat model as a program can read it: attackers, what each cannot do, and the tests that are said to show it.
//
// Invariant: what cannot be read is a fault, and so is what is not there: an empty document is full of them.
import Foundation

/// What is wrong with a threat model, one line for each fault.
///
/// - Parameters:
///   - attackers: what the headings of its attackers begin with, in their order.
///   - tests: by target and suite.
func faults(
    in document: String, attackers: [String], tests: [String: [String: Set<String>]]
) -> [String] {
    var reader = ThreatModelReader(attackers: attackers)
    for line in document.split(separator: "\n", omittingEmptySubsequences: false) { reader.read(String(line)) }
    var faults = reader.finish()
    // Wherever one stands, in a table or beside it.
    for match in document.matches(of: /`([A-Za-z]*Tests\/[^`]*)`/) {
        guard let named = NamedTest(match.output.1) else {
            faults.append("\(match.output.1) is not TARGET/SUITE.TEST")
            continue
        }
        if tests[named.target]?[named.suite]?.contains(named.test) != true {
            faults.append("\(match.output.1) is no test")
        }
    }
    return faults
}

/// `Target/Suite.test`
struct NamedTest {
    let target: String
    let suite: String
    let test: String

    init?(_ text: some StringProtocol) {
        guard let match = String(text).wholeMatch(of: /([A-Za-z]+Tests)\/([A-Za-z]+)\.([A-Za-z0-9]+)/) else {
            return nil
        }
        (target, suite, test) = (String(match.output.1), String(match.output.2), String(match.output.3))
    }
}

/// Goes through the lines.
private struct ThreatModelReader {
    private static let chapter = "## 3. Attackers"
    private static let header = ["cannot", "test"]

    let attackers: [String]
    private var faults: [String] = []
    private var isInChapter = false
    /// As the headings name them.
    private var met: [String] = []
    /// What each cannot do.
    private var rows: [Int] = []
    private var lineOfTable = 0
    private var saysCannot = false

    init(attackers: [String]) { self.attackers = attackers }

    mutating func read(_ line: String) {
        guard line.hasPrefix("|") else {
            lineOfTable = 0
            if line.hasPrefix("## ") { isInChapter = line == Self.chapter }
            if isInChapter, line.hasPrefix("### ") {
                met.append(String(line.dropFirst(4)))
                rows.append(0)
            }
            return
        }
        let cells = line.split(separator: "|", omittingEmptySubsequences: false).dropFirst()
            .map { $0.trimmingCharacters(in: .whitespaces) }
        // The last bar ends the row.
        guard cells.last == "" else { return faults.append("the row is not closed: \(line)") }
        lineOfTable += 1
        switch lineOfTable {
        case 1: readHeader(cells.dropLast())
        case 2: break
        default: if saysCannot { readRow(cells.dropLast()) }
        }
    }

    private mutating func readHeader(_ cells: ArraySlice<String>) {
        saysCannot = Array(cells) == Self.header
        if !saysCannot, isInChapter || cells.first == Self.header[0] {
            faults.append("a table of other columns than \(Self.header): \(cells)")
        }
        if saysCannot, met.isEmpty || !isInChapter { faults.append("a table of no attacker: \(cells)") }
    }

    private mutating func readRow(_ cells: ArraySlice<String>) {
        guard let what = cells.first, let named = cells.last, cells.count == 2, !what.isEmpty else {
            return faults.append("a row of other columns than \(Self.header): \(cells)")
        }
        let references = named.components(separatedBy: ", ")
        let areTests = references.allSatisfy { text in
            text.count > 2 && text.first == "`" && text.last == "`" && NamedTest(text.dropFirst().dropLast()) != nil
        }
        guard areTests else { return faults.append("no test shows that nobody can \(what): \(named)") }
        if !rows.isEmpty { rows[rows.count - 1] += 1 }
    }

    func finish() -> [String] {
        var faults = self.faults
        let isWhole = met.count == attackers.count && zip(met, attackers).allSatisfy { $0.hasPrefix($1) }
        if !isWhole { faults.append("the attackers are \(met), and not \(attackers)") }
        for (attacker, count) in zip(met, rows) where count == 0 {
            faults.append("nothing is said that this one cannot do: \(attacker)")
        }
        return faults
    }
}
