// Ids, dates and words: what every other part takes for granted.

import NewsStore
import ReplicationModel
import Testing

@Suite struct IdentityTests {
    @Test func namedIDsAreVersion5AndNeverChange() {
        let id = RowID.named(kind: "commitment_parties", ["a", "b"])
        // Fixed for ever: rows already replicated carry it.
        #expect(id == RowID("e1fac490-c6e5-5d7c-a322-1014132e850b"))
        #expect(id == RowID.named(kind: "commitment_parties", ["a", "b"]))
        #expect(id != RowID.named(kind: "commitment_parties", ["ab"]))
        #expect(id != RowID.named(kind: "commitment_sources", ["a", "b"]))
        #expect(Array(id.description)[14] == "5")
        #expect("89ab".contains(Array(id.description)[19]))
    }

    @Test func longNamesAreDigestedWhole() {
        let names = (0..<200).map { RowID.named(kind: "k", [String(repeating: "x", count: $0)]) }
        #expect(Set(names).count == 200)
    }

    @Test func freshIDsAscend() {
        let ids = (0..<10_000).map { _ in RowID.fresh().description }
        #expect(ids == ids.sorted())
        #expect(Set(ids).count == ids.count)
        #expect(ids.allSatisfy { Array($0)[14] == "7" && $0.utf8.count == 36 })
    }

    @Test(arguments: [
        ("2025-04-12", PartialDate.Precision.day), ("2024-02-29", .day), ("2025-04", .month), ("2025", .year),
    ])
    func datesKnowTheirPrecision(_ text: String, _ precision: PartialDate.Precision) throws {
        let date = try #require(PartialDate(text))
        #expect(date.precision == precision)
        #expect(date.text == text)
    }

    @Test(arguments: [
        "", "25", "2025-4-1", "2025-13", "2025-00", "2025-02-29", "2025-04-31", "2025/04/12", "2025-04-1x", "٢٠٢٥",
    ])
    func whatIsNoDateIsRefused(_ text: String) { #expect(PartialDate(text) == nil) }

    @Test func aDateHasPassedWhenAllOfItHas() throws {
        let today = try #require(PartialDate("2025-06-15"))
        for (text, passed) in [
            ("2025-06-14", true), ("2025-06-15", false), ("2025-05", true), ("2025-06", false), ("2024", true),
            ("2025", false), ("2026", false),
        ] {
            #expect(try #require(PartialDate(text)).hasPassed(on: today) == passed, "\(text)")
        }
    }

    @Test func todayIsADay() { #expect(PartialDate.todayUTC().precision == .day) }

    @Test func outcomesAlwaysTakeEffect() {
        for status in CommitmentStatus.allCases {
            for kind in [CommitmentEventKind.fulfilled, .breached, .lapsed, .withdrawn] {
                #expect(status.after(kind) == kind.status)
            }
        }
    }

    @Test(arguments: [
        (CommitmentStatus.proposed, CommitmentEventKind.agreed, CommitmentStatus.agreed),
        (.proposed, .progress, .inProgress), (.agreed, .formalised, .formalised), (.formalised, .agreed, .formalised),
        (.inProgress, .formalised, .inProgress), (.inProgress, .progress, .inProgress),
        (.fulfilled, .progress, .fulfilled),
        (.breached, .progress, .inProgress), (.lapsed, .agreed, .agreed), (.withdrawn, .formalised, .formalised),
    ])
    func stepsMoveForward(_ from: CommitmentStatus, _ kind: CommitmentEventKind, _ to: CommitmentStatus) {
        #expect(from.after(kind) == to)
    }

    @Test func assignmentsAreReadAtTheFirstEqualsSign() throws {
        let assignment = try FieldAssignment(parsing: "url=https://example.org/?a=b")
        #expect(assignment == FieldAssignment(field: "url", value: "https://example.org/?a=b"))
        #expect(try FieldAssignment(parsing: "byline=").value.isEmpty)
        for text in ["byline", "=x", ""] {
            #expect(throws: NewsError.self) { try FieldAssignment(parsing: text) }
        }
    }
}
