// Every change set of a run as its author sealed it, with its whole causal context: what the model reads.
//
// Invariant: a name stands for one content; a second content under it is a fork, and ends the run.

internal import ReplicationModel

struct Library {
    struct Entry {
        let digest: Digest
        let changeSet: ChangeSet
        /// All that its author had seen, its own origin's predecessors too.
        let context: VersionVector
    }

    private(set) var entries: [Dot: Entry] = [:]
    private var stamps: [NodeID: Stamp] = [:]

    subscript(dot: Dot) -> Entry? { entries[dot] }

    /// - Parameter wasTakenBack: it never left its machine, and was taken back with its disk: another may take its place.
    mutating func add(_ changeSet: ChangeSet, digest: Digest, wasTakenBack: Bool) throws -> Entry {
        let header = changeSet.header
        let dot = header.dot
        if let known = entries[dot], known.digest == digest || !wasTakenBack {
            guard known.digest == digest else {
                throw SimulationViolation("\(dot) was sealed twice, with two contents")
            }
            return known
        }
        var context = VersionVector()
        if header.sequence.rawValue > 1 {
            let before = Dot(origin: header.origin, sequence: header.sequence.previous)
            guard let previous = entries[before] else {
                throw SimulationViolation("\(dot) was sealed, and \(before) never")
            }
            guard previous.digest == header.previous else {
                throw SimulationViolation("\(dot) does not follow \(before)")
            }
            context = previous.context
            context[header.origin] = header.sequence.previous
        }
        context.formUnion(header.contextChanges)
        let entry = Entry(digest: digest, changeSet: changeSet, context: context)
        entries[dot] = entry
        stamps[dot.origin.node] = max(stamps[dot.origin.node] ?? .zero, header.lastStamp)
        return entry
    }

    /// The greatest stamp that a node ever gave out.
    func greatestStamp(of node: NodeID) -> Stamp { stamps[node] ?? .zero }

    /// The greatest stamp in everything up to a vector.
    func greatestStamp(within vector: VersionVector) -> Stamp {
        vector.entries.map { entries[Dot(origin: $0.key, sequence: $0.value)]?.changeSet.header.lastStamp ?? .zero }
            .max() ?? .zero
    }
}
