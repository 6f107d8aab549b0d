// What the simulation knows of a replica without asking it: what was written, sealed, told, and what is still owed to its
// programs.
//
// Invariant: it goes where the replica's files go: into a backup, back with it, and to the machine that gets a copy.

internal import ReplicationModel

struct Witness {
    /// What its programs wrote and is not sealed.
    var book = WriteBook()
    /// What was written after something was sealed within one call: it may be sealed with it, or later.
    var later = WriteBook()
    /// The vector as it was last read.
    var seen = VersionVector()
    /// Everything that was ever in the vector.
    var ever = VersionVector()
    /// What others were told that this replica has.
    var told = VersionVector()
    /// How far its own origins were looked through.
    var checked: [Origin: SequenceNumber] = [:]
    /// What it sealed itself, numbered in that order.
    var sealed: [Digest: Int] = [:]
    /// Which content it has, or had last, under the names that may have two.
    var contents: [Dot: Digest] = [:]
    /// What cuts took back, and how much had been sealed then: a later cut may make of it what is owed.
    var takenBack: [Digest: (dot: Dot, sealed: Int)] = [:]
    /// How often it was rewound.
    var rewinds = 0
    /// The cuts it knows of, and the mark of the roster they were read from.
    var cuts = KnownCuts()
    var rosterMark = ""
    /// What its programs wrote, a cut took back, and is to be written again.
    var owed: [Register: SetAside] = [:]
    /// What may be written again besides: of two cuts that came at once the second meets what the first left, and what a clone
    /// wrote is written again by whichever machine has it.
    var mayRewrite: [Register: [SetAside]] = [:]
    /// By table, what somebody has who follows its changes.
    var followers: [String: Follower] = [:]
    /// What a row that is to be inserted again may have in its other fields.
    var supplements: [Register: [Cell]] = [:]
}

/// A write that a cut took back.
struct SetAside {
    let stamp: Stamp
    let dot: Dot
    /// Of the change set's body: where its origin forked, another may count under its name.
    let digest: Digest
    /// Of a field.
    let cells: [Cell]
    /// Of a row's existence.
    let alive: Bool?
}
