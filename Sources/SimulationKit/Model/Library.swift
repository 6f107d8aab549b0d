// Every change set of a run as its author sealed it, with its whole causal context: what the model reads.
//
// Invariant: a name stands for one content, but where a copied machine went on beside the original; a second content
// anywhere else ends the run.

internal import ReplicationModel

struct Library {
    struct Entry {
        let digest: Digest
        let changeSet: ChangeSet
        /// All that its author had seen, its own origin's predecessors too.
        let context: VersionVector
        var dot: Dot { changeSet.header.dot }
    }

    /// How a second content under one name is to be taken.
    enum Twice {
        /// It must not be.
        case never
        /// What was there never left its machine, and was taken back with its disk.
        case inPlace
        /// Two machines write under one origin.
        case forks
    }

    /// By name, in the order they were sealed; more than one where an origin forked.
    private(set) var contents: [Dot: [Entry]] = [:]
    private var digests: Set<Digest> = []
    private var stamps: [NodeID: Stamp] = [:]

    /// All contents that were sealed under a name.
    subscript(dot: Dot) -> [Entry] { contents[dot] ?? [] }

    func knows(_ digest: Digest) -> Bool { digests.contains(digest) }

    mutating func add(_ changeSet: ChangeSet, digest: Digest, twice: Twice) throws -> Entry {
        let header = changeSet.header
        let dot = header.dot
        if !self[dot].isEmpty {
            switch twice {
            case .never: throw SimulationViolation("\(dot) was sealed twice, with two contents")
            case .inPlace: contents[dot] = nil
            case .forks: break
            }
        }
        var context = VersionVector()
        if header.sequence.rawValue > 1 {
            let before = Dot(origin: header.origin, sequence: header.sequence.previous)
            guard let previous = self[before].first(where: { $0.digest == header.previous }) else {
                throw SimulationViolation("\(dot) does not follow any \(before)")
            }
            context = previous.context
            context[header.origin] = header.sequence.previous
        }
        context.formUnion(header.contextChanges)
        let entry = Entry(digest: digest, changeSet: changeSet, context: context)
        contents[dot, default: []].append(entry)
        digests.insert(digest)
        stamps[dot.origin.node] = max(stamps[dot.origin.node] ?? .zero, header.lastStamp)
        return entry
    }

    /// The greatest stamp that a node ever gave out.
    func greatestStamp(of node: NodeID) -> Stamp { stamps[node] ?? .zero }

    /// The greatest stamp in everything up to a vector: between these two, where an origin in it forked.
    func greatestStamp(within vector: VersionVector) -> (least: Stamp, greatest: Stamp) {
        var (least, greatest) = (Stamp.zero, Stamp.zero)
        for (origin, sequence) in vector.entries {
            let stamps = self[Dot(origin: origin, sequence: sequence)].map(\.changeSet.header.lastStamp)
            least = max(least, stamps.min() ?? .zero)
            greatest = max(greatest, stamps.max() ?? .zero)
        }
        return (least, greatest)
    }
}

extension TableChanges {
    /// Each register that a row writes: its content is in `cells`, or, for existence, in the row's kind.
    func forEachWrite(_ body: (Register, RowChange, [Cell]) throws -> Void) rethrows {
        for row in rows {
            if row.kind.writesExistence {
                try body(Register(table: table, id: row.id, field: Register.existence), row, [])
            }
            guard row.kind == .insert || row.kind == .update else { continue }
            var start = 0
            for index in fieldSets[row.fieldSet] {
                let count = fields[index].columns.count
                let register = Register(table: table, id: row.id, field: fields[index].name)
                try body(register, row, Array(row.cells[start..<start + count]))
                start += count
            }
        }
    }
}
