// The words that columns are filled with: publication status, commitment status, kinds of events.
//
// Invariant: each raw value is what stands in the table and in JSON; readers keep a word they do not know as it is.

/// Whether an article may be used (ninjs `pubstatus`).
public enum PublicationStatus: String, Sendable, CaseIterable {
    case usable, withheld, canceled
}

/// Where a commitment stands.
public enum CommitmentStatus: String, Sendable, CaseIterable {
    case proposed, agreed, formalised
    case inProgress = "in_progress"
    case fulfilled, breached, lapsed, withdrawn

    /// Whether nothing more is expected: such a commitment is not overdue.
    public var isClosed: Bool { self == .fulfilled || self == .lapsed || self == .withdrawn }

    /// How far along it is, while it is under way.
    private var stage: Int? {
        switch self {
        case .proposed: 0
        case .agreed: 1
        case .formalised: 2
        case .inProgress: 3
        case .fulfilled, .breached, .lapsed, .withdrawn: nil
        }
    }

    /// The status after an event of `kind`.
    ///
    /// An outcome (fulfilled, breached, lapsed, withdrawn) always takes effect. A step (agreed, formalised, progress)
    /// moves a commitment that is under way forward, never back; it reopens one that was breached, lapsed or withdrawn;
    /// one that is fulfilled stays so.
    public func after(_ kind: CommitmentEventKind) -> CommitmentStatus {
        let target = kind.status
        guard let targetStage = target.stage else { return target }
        if let stage { return targetStage > stage ? target : self }
        return self == .fulfilled ? self : target
    }
}

/// What happened to a commitment.
public enum CommitmentEventKind: String, Sendable, CaseIterable {
    case agreed, formalised, progress, fulfilled, breached, lapsed, withdrawn

    /// The status that an event of this kind speaks of.
    public var status: CommitmentStatus {
        switch self {
        case .agreed: .agreed
        case .formalised: .formalised
        case .progress: .inProgress
        case .fulfilled: .fulfilled
        case .breached: .breached
        case .lapsed: .lapsed
        case .withdrawn: .withdrawn
        }
    }
}

/// A column of `articles`. Names follow IPTC ninjs where it has one.
public enum ArticleField: String, Sendable, CaseIterable {
    case headline, body, summary, byline
    /// Whose text it is: the agency named in the dateline.
    case source
    /// Who passed it on.
    case distributor
    /// The place it was filed from, and its date as written where `publishedOn` does not say it.
    case dateline
    case language
    case publishedOn = "published_on"
    case url, pubstatus
    /// The provider's own name for the item (ninjs `uri`); nil for what was written here.
    case uri
    /// The provider's version, and when it was made: what tells a newer delivery from an older one.
    case version, versioncreated

    /// Fields that people set; the others name the item and its version.
    public static let settable: [ArticleField] = allCases.filter { ![.uri, .version, .versioncreated].contains($0) }
}

/// A column of `commitments` that people set.
public enum CommitmentField: String, Sendable, CaseIterable {
    case title, text, instrument
    case agreedOn = "agreed_on"
    case dueOn = "due_on"
    case status, notes
}
