// What can go wrong with a replica, for the person who must mend it.

/// A failure of the replica. A struct over a code, so that codes may be added.
public struct ReplicaError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is; scripts see it as an exit status.
    public enum Code: Sendable, Equatable {
        case absent, exists, notAReplica, tooNew, damaged, schema, input, refused, busy, fork, noKey, inputOutput,
            closed
    }
    public let code: Code
    /// Operation, object, cause and next step.
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    static let closed = ReplicaError(.closed, "The replica was closed meanwhile: this program is stopping.")
    static func damaged(_ what: String) -> ReplicaError {
        ReplicaError(
            .damaged,
            "The replica is damaged: \(what) does not read as it was written. Run `syncnode verify` to see how far it goes."
        )
    }
    /// What the file holds cannot be brought to the present form.
    static func form(_ path: String, _ error: SQLError) -> ReplicaError {
        ReplicaError(
            .damaged,
            "Cannot bring \(path) to the form that this version needs: it contradicts itself. \(error). Nothing was changed by the step that failed. Keep a copy of the file: the version that it was made with still opens it. Or move it away, `syncnode recover HOST:PORT` to make it anew from a peer, and `syncnode recover --salvage FILE` to write again what only it has."
        )
    }
    static func regrouped(table: String, field: String) -> ReplicaError {
        ReplicaError(
            .schema,
            "Cannot declare \(table).\(field): the replica knows this field with other columns. A field's columns cannot change; give the new group a new name."
        )
    }
    static func name(_ name: String) -> ReplicaError {
        ReplicaError(
            .schema,
            "Cannot declare “\(name)”: names are letters, digits and underscores, at most 128, and neither `id` nor begin with `sync_`."
        )
    }
}
