// Comparing what two replicas hold, by ranges: the questions, the answers, and how differing items are named.
//
// Invariant: keys are compared as bytes, and every side lists the items of a section in that order.

/// A part of a replica whose items both sides list in one order.
public enum ComparisonSection: Hashable, Sendable {
    /// A replicated table: one item for each row ever known, deleted ones too, by id.
    case table(String)
    /// The conflict ledger: one item for each entry, by its key.
    case ledger
    /// The log's ends: one item for each origin of which something is applied, by its 24 bytes.
    case origins
}

/// A table and the fields of it that are compared, or declared.
public struct DeclaredTable: Hashable, Sendable {
    public var name: String
    public var fields: [Field]

    public init(name: String, fields: [Field]) {
        self.name = name
        self.fields = fields
    }
}

/// The items of a section from one key to before another.
public struct ComparisonRange: Hashable, Sendable {
    public var section: ComparisonSection
    /// Empty: from the first.
    public var from: [UInt8]
    /// Empty: to the last.
    public var to: [UInt8]

    public init(_ section: ComparisonSection, from: [UInt8] = [], to: [UInt8] = []) {
        self.section = section
        self.from = from
        self.to = to
    }
}

/// What is asked of one range.
public struct RangeQuestion: Hashable, Sendable {
    /// How closely.
    public enum Detail: Hashable, Sendable {
        /// Count and fingerprint of each part that the boundaries cut the range into.
        case fingerprints(boundaries: [[UInt8]])
        /// Key and fingerprint of each item.
        case items
        /// What these items consist of.
        case parts(keys: [[UInt8]])
    }
    public var range: ComparisonRange
    public var detail: Detail

    public init(_ range: ComparisonRange, _ detail: Detail) {
        self.range = range
        self.detail = detail
    }
}

/// What one side asks the other, and its own store alike.
public struct ComparisonQuestion: Hashable, Sendable {
    /// Digest of the vector that it is asked at.
    public var vector: Identifier128
    /// What is compared of each table; empty: everything declared.
    public var scope: [DeclaredTable]
    public var wantsDeclarations: Bool
    public var ranges: [RangeQuestion]

    public init(
        vector: Identifier128, scope: [DeclaredTable] = [], wantsDeclarations: Bool = false,
        ranges: [RangeQuestion] = []
    ) {
        self.vector = vector
        self.scope = scope
        self.wantsDeclarations = wantsDeclarations
        self.ranges = ranges
    }
}

/// How many items, and what all of them together are.
public struct RangeFingerprint: Hashable, Sendable {
    public var count: UInt64
    public var fingerprint: Identifier128

    public init(count: UInt64, fingerprint: Identifier128) {
        self.count = count
        self.fingerprint = fingerprint
    }
}

/// One item, whole.
public struct ItemFingerprint: Hashable, Sendable {
    public var key: [UInt8]
    public var fingerprint: Identifier128

    public init(key: [UInt8], fingerprint: Identifier128) {
        self.key = key
        self.fingerprint = fingerprint
    }
}

/// One part of an item: a field of a row, or its existence.
public struct ItemPart: Hashable, Sendable {
    public var name: String
    /// Of the value.
    public var value: Identifier128
    /// Of the versions of all its writes.
    public var versions: Identifier128
    /// The greatest of these.
    public var current: Version?

    public init(name: String, value: Identifier128, versions: Identifier128, current: Version?) {
        self.name = name
        self.value = value
        self.versions = versions
        self.current = current
    }
}

/// What is there in one range.
public enum RangeAnswer: Hashable, Sendable {
    case fingerprints([RangeFingerprint])
    case items([ItemFingerprint], more: Bool)
    /// For each key; an item that is not there has no part.
    case parts([[ItemPart]])
}

/// What a side answers, true for one snapshot of its replica.
public enum ComparisonAnswer: Hashable, Sendable {
    /// For each range that was asked about, in order.
    case ranges([RangeAnswer], declared: [DeclaredTable])
    /// Its vector is another than that of the question.
    case moved(VersionVector)
    /// Values have yet to arrive: its tables are not what its vector says.
    case catchingUp
}
