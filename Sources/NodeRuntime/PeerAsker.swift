// The asking side of a comparison: puts each question to the peer and to this replica at once, and explains what differs.
//
// Invariant: one question is open at a time, and both answers to it are for the vector that it names.

internal import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire

final class PeerAsker {
    /// The session ended before the answer came.
    struct Ended: Error {}

    private let driver: SessionDriver
    private var events: AsyncStream<SessionEvent>.Iterator
    private let node: Node
    private var schemaDiffers = false

    init(driver: SessionDriver, events: AsyncStream<SessionEvent>.Iterator, node: Node) {
        self.driver = driver
        self.events = events
        self.node = node
    }

    func compare(
        _ result: inout PeerVerification, _ progress: @escaping @Sendable (PeerVerifyProgress) -> Void
    ) async throws {
        try await settled()
        let (applied, vector) = try await BlockingWork.run { [node] in try node.replica.comparisonVector() }
        var question = ComparisonQuestion(vector: vector)
        var sections: [ComparisonSection] = []
        result.notCompared = []
        let (declared, parked) = try await BlockingWork.run { [node] in
            (try node.replica.comparisonDeclarations(), try node.replica.status().parked)
        }
        if parked > 0 { result.notCompared.append("\(parked.of("value")) of fields that are not declared here") }
        if schemaDiffers {
            question.wantsDeclarations = true
            guard let (_, theirs) = try await peerAnswer(question, applied, &result) else { return }
            question.wantsDeclarations = false
            question.scope = Self.common(declared, theirs, &result.notCompared)
            sections = question.scope.map { .table($0.name) }
        } else {
            sections = declared.map { .table($0.name) }
        }
        var comparison = RangeComparison(sections + [.ledger, .origins])
        while true {
            progress(.comparing(questions: result.questions))
            switch comparison.next() {
            case .done:
                result.items = comparison.itemCounts
                result.isCutShort = comparison.isCutShort
                result.outcome = comparison.differences.isEmpty && !comparison.isCutShort ? .equal : .differs
                return try await explain(comparison.differences, &result, progress)
            case .cut(let requests):
                let ranges = requests.map { (range: $0.range, parts: $0.parts) }
                comparison.cut(try await BlockingWork.run { [node] in try node.replica.cut(ranges) })
            case .ask(let ranges):
                question.ranges = ranges
                let asked = question
                let node = node
                async let ours = BlockingWork.run { try node.replica.answer(asked) }
                let theirs = try await peerAnswer(asked, applied, &result)
                let here = try await ours
                guard let (there, _) = theirs else { return }
                guard case .ranges(let answers, _) = here else {
                    result.outcome = here == .catchingUp ? .catchingUp : .unsettled
                    return
                }
                do {
                    try comparison.took(here: answers, there: there)
                } catch {
                    driver.refuse(error.notice)
                    throw Ended()
                }
            }
        }
    }

    // MARK: The peer

    private func settled() async throws {
        while let event = await events.next() {
            if event == .schemaDiffers { schemaDiffers = true }
            if event == .settled { return }
        }
        throw Ended()
    }

    /// Nil where the peer could not answer for our vector: the outcome says why.
    private func peerAnswer(
        _ question: ComparisonQuestion, _ applied: VersionVector, _ result: inout PeerVerification
    ) async throws -> ([RangeAnswer], [DeclaredTable])? {
        result.questions += 1
        driver.ask(question)
        while let event = await events.next() {
            guard case .answered(let answer) = event else { continue }
            switch answer {
            case .ranges(let ranges, let declared): return (ranges, declared)
            case .catchingUp: result.outcome = .catchingUp
            case .moved(let theirs):
                let (here, there) = (Self.missing(in: applied, of: theirs), Self.missing(in: theirs, of: applied))
                result.outcome =
                    here == 0 && there == 0 ? .unsettled : .unequalVectors(lackedHere: here, lackedThere: there)
            }
            return nil
        }
        throw Ended()
    }

    private static func missing(in vector: VersionVector, of other: VersionVector) -> UInt64 {
        other.entries.reduce(0) { sum, entry in
            sum + (entry.value > vector[entry.key] ? entry.value.rawValue - vector[entry.key].rawValue : 0)
        }
    }

    /// What both declare alike; the rest is said, and is no damage.
    private static func common(
        _ ours: [DeclaredTable], _ theirs: [DeclaredTable], _ notCompared: inout [String]
    ) -> [DeclaredTable] {
        var common: [DeclaredTable] = []
        for table in ours {
            guard let other = theirs.first(where: { $0.name == table.name }) else {
                notCompared.append("table \(table.name): not declared at the peer")
                continue
            }
            let fields = table.fields.filter(other.fields.contains)
            for field in table.fields where !fields.contains(field) {
                notCompared.append("\(table.name).\(field.name): not declared alike at the peer")
            }
            for field in other.fields where !table.fields.contains(where: { $0.name == field.name }) {
                notCompared.append("\(table.name).\(field.name): not declared here")
            }
            common.append(DeclaredTable(name: table.name, fields: fields))
        }
        for table in theirs where !ours.contains(where: { $0.name == table.name }) {
            notCompared.append("table \(table.name): not declared here")
        }
        return common
    }

    // MARK: Which side is wrong

    /// Both logs hold the same where the vectors and the logs' ends are equal, so whichever side does not follow from its
    /// own log is wrong: this one's verification tells.
    private func explain(
        _ differences: [ContentDifference], _ result: inout PeerVerification,
        _ progress: @escaping @Sendable (PeerVerifyProgress) -> Void
    ) async throws {
        guard !differences.isEmpty else { return }
        let report = try await BlockingWork.run { [node] in
            try node.replica.verify(authors: try node.refreshRoster()) { progress(.verifyingHere($0)) }
        }
        result.local = report
        let logDiffers = differences.contains { $0.section == .origins }
        result.differences = differences.map { difference in
            let finding = report.findings.first { $0.concerns(difference) }
            let side: PeerDifference.Side =
                finding != nil ? .here : logDiffers || report.findingCount > report.findings.count ? .unknown : .there
            return PeerDifference(difference: difference, side: side, finding: finding)
        }
    }
}

extension VerifyFinding {
    /// Whether it is about the place of a difference.
    fileprivate func concerns(_ difference: ContentDifference) -> Bool {
        switch difference.section {
        case .table(let name):
            guard let id, id.bytes == difference.key, let table, table == name || table.hasSuffix("_" + name) else {
                return false
            }
            guard let part = difference.part, let field, kind != .existence else { return true }
            return field == part
        case .ledger:
            guard kind == .ledger else { return false }
            switch difference.kind {
            case .value(let here?, _), .versions(let here?, _): return dot == here.dot || dot == nil
            default: return true
            }
        case .origins: return dot?.origin.bytes == difference.key
        }
    }
}
