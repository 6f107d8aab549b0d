// The body of a change set as bytes. Protocols/change-set.md is its specification.
public import ReplicationModel

/// Why a body was refused.
public struct ChangeSetFormatError: Error, Hashable, CustomStringConvertible {
    /// What is wrong, for people.
    public let description: String
    /// Where in the body.
    public let offset: Int
}

/// Encodes and decodes change set bodies.
public enum ChangeSetCodec {
    /// The canonical bytes of a change set. The same change set always gives the same bytes.
    public static func encode(_ changeSet: ChangeSet) -> [UInt8] { preconditionFailure("\(changeSet)") }

    /// Reads a body and checks every rule of form: canonical encoding, limits, order, no register written twice.
    public static func decode(_ body: [UInt8]) throws(ChangeSetFormatError) -> ChangeSet {
        throw ChangeSetFormatError(description: "not yet", offset: body.count)
    }

    /// Reads only the part before the rows.
    public static func decodeHeader(_ body: [UInt8]) throws(ChangeSetFormatError) -> ChangeSetHeader {
        throw ChangeSetFormatError(description: "not yet", offset: body.count)
    }
}
