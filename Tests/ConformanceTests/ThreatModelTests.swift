// The threat model's word: no attacker and no row is without a test, and every test that it names is one, of that suite.
import Foundation
import Testing

@Suite struct ThreatModelTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static let attackers = [
        "Stranger", "Invited, not joined", "Reader", "Writer", "Relay", "Admin without the authority's key",
        "Revoked node", "Stolen laptop", "Holder of the authority's key", "Another user of the same machine",
        "A program that may write the replica file", "Accidents",
    ]

    /// Every test that this very program can run, as it lists them itself: `Target.Suite/test(…)`.
    private func tests() throws -> [String: [String: Set<String>]] {
        let program = Process()
        program.executableURL = URL(fileURLWithPath: "/proc/\(getpid())/exe")
        program.arguments = ["--testing-library", "swift-testing", "--list-tests"]
        let output = Pipe()
        program.standardOutput = output
        program.standardError = FileHandle.nullDevice
        try program.run()
        let list = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        program.waitUntilExit()
        var tests: [String: [String: Set<String>]] = [:]
        for match in list.matches(of: /(?m)^([A-Za-z]+)\.([A-Za-z]+)\/([A-Za-z0-9]+)\(/) {
            let (_, target, suite, test) = match.output
            tests[String(target), default: [:]][String(suite), default: []].insert(String(test))
        }
        return tests
    }

    @Test func everyRowNamesTestsThatThereAre() throws {
        let path = Self.root.appendingPathComponent("Protocols/threat-model.md")
        let document = try String(contentsOf: path, encoding: .utf8)
        let known = try tests()
        #expect(known["ConformanceTests"]?["ThreatModelTests"]?.contains("everyRowNamesTestsThatThereAre") == true)
        #expect(faults(in: document, attackers: Self.attackers, tests: known) == [])
        #expect(document.matches(of: /`[A-Za-z]+Tests\//).count > 100)
    }

    // MARK: The check itself

    /// A whole threat model of two attackers.
    private static let sound = """
        # Threat model

        | | reads |
        |---|---|
        | stranger | – |

        ## 3. Attackers

        ### Stranger: outside

        | cannot | test |
        |---|---|
        | get in | `DoorTests/LockTests.holds`, `DoorTests/LockTests.holdsTwice` |

        ### Guest

        | cannot | test |
        |---|---|
        | stay | `DoorTests/ClockTests.strikes` |

        ## 4. What remains

        The window, of which `DoorTests/ClockTests.strikes` says nothing.
        """

    private func faultsOf(_ document: String) -> [String] {
        let door: [String: Set<String>] = ["LockTests": ["holds", "holdsTwice"], "ClockTests": ["strikes"]]
        return faults(in: document, attackers: ["Stranger", "Guest"], tests: ["DoorTests": door])
    }

    @Test func aWholeOneHasNoFaults() { #expect(faultsOf(Self.sound) == []) }

    @Test(arguments: ["", "# Threat model", "## 3. Attackers\n", "### Stranger\n\n### Guest\n"])
    func anEmptyOneIsFaulty(document: String) { #expect(!faultsOf(document).isEmpty) }

    @Test(arguments: [
        // No test, none that is there, one of another suite, target or spelling.
        ("`DoorTests/LockTests.holds`, `DoorTests/LockTests.holdsTwice`", "", "no test shows"),
        ("`DoorTests/LockTests.holds`, `DoorTests/LockTests.holdsTwice`", "see *Guest*", "no test shows"),
        ("`DoorTests/LockTests.holds`, ", "`LockTests.holds`, ", "no test shows"),
        ("LockTests.holdsTwice", "LockTests.opens", "DoorTests/LockTests.opens is no test"),
        ("LockTests.holdsTwice", "ClockTests.holdsTwice", "is no test"),
        ("`DoorTests/LockTests.holds`", "`WallTests/LockTests.holds`", "is no test"),
        ("LockTests.holdsTwice", "LockTests.holds twice", "is not TARGET/SUITE.TEST"),
        ("ClockTests.strikes` says", "ClockTests.rings` says", "DoorTests/ClockTests.rings is no test"),
        // A row, a table, an attacker.
        ("| stay | `DoorTests/ClockTests.strikes` |", "", "cannot do: Guest"),
        ("| stay |", "| stay | long |", "other columns"),
        ("strikes` |\n\n## 4", "strikes`\n\n## 4", "not closed"),
        ("| cannot | test |\n|---|---|\n| stay", "| should not | test |\n|---|---|\n| stay", "other columns"),
        ("| | reads |", "| cannot | test |", "no attacker"),
        ("### Guest\n", "", "the attackers are"),
        ("### Guest\n", "### Thief\n", "the attackers are"),
        ("## 3. Attackers", "## 3. Friends", "the attackers are"),
    ])
    func eachFaultIsFound(part: String, put: String, saying words: String) {
        let changed = Self.sound.replacingOccurrences(of: part, with: put)
        #expect(changed != Self.sound)
        let found = faultsOf(changed)
        #expect(found.contains { $0.contains(words) }, "\(found)")
    }
}
