// Acknowledging a conflict: an ordinary replicated write, so that a conflict is dealt with once for the whole workspace.
//
// Invariant: a row's columns follow from its id, so that two nodes that acknowledge the same conflict do not conflict.

internal import ReplicationModel

enum Acknowledgements {
    /// `id` is the conflict's key; `subject` says in words what was acknowledged. Who did it is the row's version.
    static let table = Table("sync_acknowledgements", columns: [Column("subject", "TEXT")])
}
