// The body of a change set as bytes. Protocols/change-set.md is its specification.
//
// Invariant: a change set has exactly one byte string. For every body that `decode` accepts,
// `encode(decode(body)) == body`; every other body is refused, whoever signed it.
public import ReplicationModel

/// Why a body was refused.
public struct ChangeSetFormatError: Error, Hashable, CustomStringConvertible, Sendable {
    /// Which rule the body breaks. The specification and its vectors name rules by these words.
    public struct Rule: Hashable, Sendable, CustomStringConvertible {
        /// The word the specification uses.
        public let name: String
        init(_ name: String) { self.name = name }
        /// The same word.
        public var description: String { name }

        /// The body ends inside something.
        public static let truncated = Rule("truncated")
        /// Bytes follow the last row.
        public static let trailing = Rule("trailing")
        /// The body does not begin with the four bytes of this format.
        public static let format = Rule("format")
        /// A variable-length integer is longer than it need be, or does not fit its range.
        public static let varint = Rule("varint")
        /// A count, length or sum goes past its limit, or is zero where it may not be.
        public static let limit = Rule("limit")
        /// Something that must ascend does not.
        public static let order = Rule("order")
        /// A sequence, previous digest or total contradicts another.
        public static let chain = Rule("chain")
        /// A name is empty, not UTF-8, holds a control character, or is not unique.
        public static let name = Rule("name")
        /// A field or field set that nothing uses, or a reference to one that does not exist.
        public static let fields = Rule("fields")
        /// A row change's kind is unknown, or an update writes no field.
        public static let kind = Rule("kind")
        /// A cell's tag is unknown, or the cell holds what has no or another encoding.
        public static let cell = Rule("cell")
        /// A register is written twice.
        public static let register = Rule("register")
        /// The header says something else of the rows than the rows do.
        public static let header = Rule("header")
    }

    /// The rule that is broken.
    public let rule: Rule
    /// What is wrong, for people.
    public let description: String
    /// Where in the body, in bytes from its start.
    public let offset: Int

    init(_ rule: Rule, _ description: String, at offset: Int) {
        self.rule = rule
        self.description = "\(description), at byte \(offset)"
        self.offset = offset
    }
}

/// Encodes and decodes change set bodies.
public enum ChangeSetCodec {
    /// The canonical bytes of a change set. The same change set always gives the same bytes.
    ///
    /// The order of tables, rows and field sets is the caller's and is not put right here: `decode` refuses what is not
    /// in order. What has no bytes at all (a field set that does not exist, a wrong number of cells) is a bug of
    /// the caller and traps.
    public static func encode(_ changeSet: ChangeSet) -> [UInt8] {
        var writer = ChangeSetWriter(capacity: encodedSizeUpperBound(of: changeSet))
        writer.write(changeSet)
        return writer.bytes
    }

    /// Reads a body and checks every rule of form: canonical encoding, limits, order, no register written twice.
    ///
    /// Memory stays within a fixed multiple of the body: counts are checked against what is left before anything
    /// is reserved for them.
    public static func decode(_ body: [UInt8]) throws(ChangeSetFormatError) -> ChangeSet {
        try reading(body) { (reader) throws(ChangeSetFormatError) in
            let (header, tables) = try reader.changeSet(RowArray.self)
            return ChangeSet(
                header: header,
                tables: tables.map {
                    TableChanges(
                        table: $0.name, fields: $0.fields, fieldSets: $0.fieldSets.map(\.indices), rows: $0.rows.rows)
                })
        }
    }

    /// Whether `decode` would accept a body: the same rules, and nothing is made of what is read.
    public static func check(_ body: [UInt8]) throws(ChangeSetFormatError) -> ChangeSetHeader {
        try reading(body) { (reader) throws(ChangeSetFormatError) in try reader.changeSet(NoRows.self).header }
    }

    /// Reads only the part before the rows. What it says of the rows is not checked.
    public static func decodeHeader(_ body: [UInt8]) throws(ChangeSetFormatError) -> ChangeSetHeader {
        try reading(body) { (reader) throws(ChangeSetFormatError) in try reader.header() }
    }

    static func reading<Result>(
        _ body: [UInt8], _ read: (inout ChangeSetReader) throws(ChangeSetFormatError) -> Result
    ) throws(ChangeSetFormatError) -> Result {
        guard body.count <= Limits.acceptedBodyBytes else {
            throw ChangeSetFormatError(
                .limit, "the body has \(body.count) bytes, the limit is \(Limits.acceptedBodyBytes)", at: 0)
        }
        return try body.withUnsafeBufferPointer { (buffer) throws(ChangeSetFormatError) in
            var reader = ChangeSetReader(UnsafeRawBufferPointer(buffer))
            return try read(&reader)
        }
    }
}

/// The bytes that mean something by themselves. Protocols/change-set.md, section 2.
enum ChangeSetFormat {
    /// "SNC" and the version of the format.
    static let magic: [UInt8] = [0x53, 0x4e, 0x43, 0x01]
    /// A row change has at least a kind, a length, one byte of id and one of stamp.
    static let leastRowBytes = 4

    enum Tag {
        static let null: UInt8 = 0x00
        static let integer: UInt8 = 0x01
        static let real: UInt8 = 0x02
        static let longText: UInt8 = 0x03
        static let longBlob: UInt8 = 0x04
        static let besideText: UInt8 = 0x05
        static let besideBlob: UInt8 = 0x06
        /// The tags from here on hold the length of a text in their lower six bits.
        static let shortText: UInt8 = 0x40
        static let shortBlob: UInt8 = 0x80
    }
    /// A text or blob of fewer bytes has its length in its tag; a longer one has what exceeds this in one more byte.
    static let shortBytes = 64
}
