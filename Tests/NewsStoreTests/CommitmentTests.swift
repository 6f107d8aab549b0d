// Commitments in a real replica: parties, sources, events, due dates.

import Foundation
import NewsStore
import ReplicaStore
import ReplicationModel
import Testing

@Suite struct CommitmentTests {
    private let workspace: NewsWorkspace

    init() throws { workspace = try NewsWorkspace() }

    private func add(
        _ store: NewsStore, _ title: String, parties: [String] = ["Northia"], _ fields: [String: String] = [:]
    ) throws -> RowID {
        try store.addCommitment(
            NewCommitment(
                title: title, parties: parties.map { CommitmentParty($0) },
                assignments: fields.map { FieldAssignment(field: $0.key, value: $0.value) }))
    }

    @Test func aCommitmentIsShownWithAllThatBelongsToIt() throws {
        let store = try workspace.makeStore()
        let article = try store.addArticle(headline: "Ferry line reopens")
        let id = try store.addCommitment(
            NewCommitment(
                title: "Reopen the ferry line",
                parties: [CommitmentParty("Northia", role: "operator"), CommitmentParty("Southia")],
                assignments: [
                    FieldAssignment(field: "instrument", value: "exchange of notes"),
                    FieldAssignment(field: "agreed_on", value: "2025-04-11"),
                    FieldAssignment(field: "due_on", value: "2025-05"),
                    FieldAssignment(field: "status", value: "agreed"),
                ], article: String(article.description.prefix(18)), quote: "the line reopens"))
        let shown = try store.commitment(String(id.description.prefix(18)))
        #expect(shown.summary[.title] == "Reopen the ferry line")
        #expect(shown.summary[.dueOn] == "2025-05")
        #expect(shown.summary.duePrecision == .month)
        #expect(shown.summary.parties == [CommitmentParty("Northia", role: "operator"), CommitmentParty("Southia")])
        #expect(shown.sources.map(\.headline) == ["Ferry line reopens"])
        #expect(shown.sources.map(\.quote) == ["the line reopens"])
        #expect(try store.article(article.description).commitments.map(\.title) == ["Reopen the ferry line"])
        #expect(try store.contents("commitments").first?.contains(Value("month")) == true)
    }

    /// An event known to the month or the year alone is not before a day of it.
    @Test(arguments: ["2026-09", "2026", "2026-09-10", "2026-10-01"])
    func whatIsKnownToTheMonthMovesTheStatus(date: String) throws {
        let store = try workspace.makeStore()
        let id = try add(store, "Open the line").description
        _ = try store.log(.agreed, for: id, on: #require(PartialDate("2026-09-10")))
        let event = try store.log(.fulfilled, for: id, on: #require(PartialDate(date)))
        #expect(event.movedStatus && event.status == "fulfilled")
    }

    @Test func partiesAreNamedInAnyCase() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "Dredge the harbour", parties: ["Çanakkale Limanı", "Ægir"])
        _ = try add(store, "Another", parties: ["Northia"])
        for name in ["çanakkale limanı", "ÆGIR", "Çanakkale Limanı"] {
            #expect(try store.commitments(CommitmentQuery(party: name)).map { $0[.title] } == ["Dredge the harbour"])
        }
        #expect(try store.commitments(CommitmentQuery(party: "NORTHIA")).count == 1)
        #expect(try store.partyNames(containing: "canakkale", limit: 5) == ["Çanakkale Limanı"])
    }

    @Test func aDueDateOfAnotherFormIsNotOverdue() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "Late", ["due_on": "2026-01-02"])
        _ = try add(store, "Written by hand", ["due_on": "2026-01-02"])
        try store.replica.write {
            try $0.execute("UPDATE commitments SET due_on = '1 January' WHERE title = 'Written by hand'")
        }
        let overdue = try store.commitments(CommitmentQuery(overdueOn: PartialDate("2026-06-01")))
        #expect(overdue.map(\.id) == [id])
    }

    @Test func aLinkMadeTwiceIsOneRowOnEveryNode() throws {
        let (north, south) = (try workspace.makeStore(0), try workspace.makeStore(1))
        let article = try north.addArticle(headline: "Ferry")
        let id = try add(north, "Reopen", parties: ["Northia", "Northia"])
        try workspace.pull(south, from: north)
        for store in [north, south] {
            try store.addParty(CommitmentParty("Southia"), to: id.description)
            try store.addSource(article: article.description, quote: "q", to: id.description)
        }
        try workspace.pull(south, from: north)
        try workspace.pull(north, from: south)
        for store in [north, south] {
            #expect(try store.contents("commitment_parties").count == 2)
            #expect(try store.contents("commitment_sources").count == 1)
            #expect(try store.replica.conflicts().isEmpty)
        }
        try north.addParty(CommitmentParty("Southia", role: "guarantor"), to: id.description)
        #expect(try north.commitment(id.description).summary.parties.last?.role == "guarantor")
        try north.addParty(CommitmentParty("Southia"), to: id.description)
        #expect(try north.commitment(id.description).summary.parties.last?.role == "guarantor")
    }

    @Test func linksWithAMissingEndAreShown() throws {
        let store = try workspace.makeStore()
        let article = try store.addArticle(headline: "Ferry")
        let id = try store.addCommitment(
            NewCommitment(title: "Reopen", parties: [CommitmentParty("N")], article: article.description, quote: "q"))
        _ = try store.log(
            .progress, for: id.description, on: #require(PartialDate("2025-04")), article: article.description)
        let whole = try store.commitment(id.description)
        _ = try store.delete(.article, article.description)
        let shown = try store.commitment(id.description)
        #expect(shown.sources.map(\.article) == [article] && shown.sources.map(\.headline) == [nil])
        #expect(shown.events.map(\.article) == [article] && shown.events.map(\.headline) == [nil])
        _ = try store.restore(.article, article.description)
        _ = try store.delete(.commitment, id.description)
        #expect(try store.article(article.description).commitments.map(\.title) == [nil])
        #expect(try store.commitments(CommitmentQuery(party: "N")).isEmpty)
        #expect(try store.restore(.commitment, String(id.description.prefix(20))) == id)
        #expect(try store.commitment(id.description) == whole)
    }

    @Test func listsAreFilteredAndOrderedByDueDate() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "month", ["due_on": "2025-05", "status": "agreed"])
        _ = try add(store, "day", parties: ["northia", "Westia"], ["due_on": "2025-05-20"])
        _ = try add(store, "done", ["due_on": "2025-01-01", "status": "fulfilled"])
        _ = try add(store, "open")
        func list(_ query: CommitmentQuery) throws -> [String?] { try store.commitments(query).map { $0[.title] } }
        func overdue(_ day: String) throws -> [String?] { try list(CommitmentQuery(overdueOn: PartialDate(day))) }
        #expect(try list(CommitmentQuery()) == ["done", "month", "day", "open"])
        #expect(try list(CommitmentQuery(party: "NORTHIA")).count == 4)
        #expect(try list(CommitmentQuery(party: "Westia", status: .proposed)) == ["day"])
        #expect(try overdue("2025-05-20") == [])
        #expect(try overdue("2025-05-21") == ["day"])
        #expect(try overdue("2025-06-01") == ["month", "day"])
    }

    @Test func whatIsOverdueInAListIsOverdueByItself() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "month", ["due_on": "2025-05"])
        _ = try add(store, "breached", ["due_on": "2025-05-20", "status": "breached"])
        _ = try add(store, "done", ["due_on": "2025-01-01", "status": "fulfilled"])
        _ = try add(store, "open")
        for text in ["2025-05-20", "2025-05-21", "2025-06-01"] {
            let day = try #require(PartialDate(text))
            let listed = try store.commitments(CommitmentQuery(overdueOn: day))
            #expect(try store.commitments().filter { $0.isOverdue(on: day) } == listed)
        }
        #expect(try store.commitments(CommitmentQuery(limit: 2)).map { $0[.title] } == ["done", "month"])
    }

    @Test func fieldsAndLinksAreSetTogetherOrNotAtAll() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "Reopen").description
        let article = try store.addArticle(headline: "Ferry line reopens").description
        let notes = [FieldAssignment(field: "notes", value: "x")]
        #expect(throws: NewsError.self) {
            try store.setCommitment(id, notes, parties: [CommitmentParty("Westia")], article: "nope")
        }
        #expect(try store.commitment(id).summary.parties.count == 1 && store.commitment(id).summary[.notes] == nil)
        let guest = CommitmentParty("Westia", role: "guest")
        func set() throws -> Bool {
            try store.setCommitment(id, notes, parties: [guest], article: article, quote: "reopens").changed
        }
        #expect(try set())
        #expect(try !set())
        let commitment = try store.commitment(id)
        #expect(commitment.summary.parties == [CommitmentParty("Northia"), guest])
        #expect(commitment.sources.map(\.quote) == ["reopens"])
    }

    @Test func aPartyIsFoundByAPieceOfItsName() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "a", parties: ["Port of Odesa", "Port of Istanbul"])
        #expect(try store.partyNames(containing: "ODESA", limit: 5) == ["Port of Odesa"])
        #expect(try store.partyNames(containing: "port", limit: 1) == ["Port of Istanbul"])
        #expect(try store.partyNames(containing: "%", limit: 5) == [])
    }

    @Test func eventsMoveTheStatusUnlessTheyAreBelated() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "Reopen").description
        func log(_ kind: CommitmentEventKind, _ day: String) throws -> LoggedEvent {
            try store.log(kind, for: id, on: #require(PartialDate(day)), note: "n")
        }
        #expect(try log(.formalised, "2025-04-10").status == "formalised")
        #expect(try log(.progress, "2025-04-12").movedStatus)
        let belated = try log(.fulfilled, "2025-04-11")
        #expect(belated.status == "in_progress" && !belated.movedStatus)
        #expect(try log(.fulfilled, "2025-04-13").status == "fulfilled")
        #expect(try log(.progress, "2025-04-14").status == "fulfilled")
        #expect(try log(.breached, "2025-05").status == "breached")
        let shown = try store.commitment(id)
        #expect(shown.summary[.status] == "breached")
        #expect(
            shown.events.map(\.kind) == ["formalised", "fulfilled", "progress", "fulfilled", "progress", "breached"])
    }

    @Test func theDueDateAndItsPrecisionGoTogether() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "Reopen", ["due_on": "2025"]).description
        try store.setCommitment(id, [FieldAssignment(field: "due_on", value: "2025-06-30")])
        #expect(try store.commitment(id).summary.duePrecision == .day)
        try store.setCommitment(id, [FieldAssignment(field: "due_on", value: "")])
        #expect(try store.commitment(id).summary[.dueOn] == nil)
        #expect(try store.commitment(id).summary.duePrecision == nil)
        #expect(try !store.setCommitment(id, [FieldAssignment(field: "due_on", value: "")]).changed)
    }

    @Test func wrongWordsAreRefusedWithTheRightOnes() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "Reopen").description
        for (field, value, hint) in [
            ("status", "done", "in_progress"), ("due_on", "2025-02-30", "YYYY-MM-DD"),
            ("due_precision", "day", "title, text"),
            ("title", "", "Give it a text"),
        ] {
            let error = try #require(throws: NewsError.self) {
                try store.setCommitment(id, [FieldAssignment(field: field, value: value)])
            }
            #expect(error.code == .badArgument && error.nextStep.contains(hint))
        }
        #expect(throws: NewsError.self) { try add(store, "No party", parties: []) }
        #expect(throws: NewsError.self) { try add(store, "Blank party", parties: [" "]) }
        let missing = try #require(throws: NewsError.self) {
            try store.addCommitment(NewCommitment(title: "x", parties: [CommitmentParty("N")], article: "nope"))
        }
        #expect(missing.code == .notFound)
        #expect(try store.commitments().count == 1)
    }

    @Test func jsonHasTheContractsNames() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "Reopen").description
        _ = try store.log(.agreed, for: id, on: PartialDate.todayUTC())
        let data = try JSONEncoder().encode(store.commitment(id))
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(
            Set(object.keys)
                == Set(
                    CommitmentField.allCases.map(\.rawValue) + ["id", "due_precision", "parties", "sources", "events"]))
    }
}
