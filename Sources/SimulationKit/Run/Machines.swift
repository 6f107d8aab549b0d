// Disks and whole machines that are put back, copied, cloned and lost.
//
// Invariant: what is known of a replica goes where its files go; what they took with them is noted as taken back.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    /// Takes a backup, or puts one back.
    func restore(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        guard node.isUp else { return }
        guard let backup = node.backup, random.chance(600) else {
            trace.note("\(node.name) is backed up")
            let mark = VirtualMark()
            mark.clone(node.machine.mark)
            node.backup = SimulatedNode.Backup(
                files: node.machine.disk.snapshot(), witness: node.witness, doubtful: node.doubtful,
                tables: node.tables, mark: mark, origin: try node.replica?.origin)
            return
        }
        try crash(node, losesPower: false)
        trace.note("\(node.name) is restored from a backup")
        tallies.count(.restore)
        // What was sealed since is gone from here; it comes back from whoever has it.
        takenBack.formUnion(node.witness.sealed.keys.filter { backup.witness.sealed[$0] == nil })
        putBack(node, backup)
    }

    /// A disk that held this is gone, and nothing is left that tells how much of it was sent.
    private func takeBackUnseen(_ sealed: some Sequence<Digest>) {
        takenBack.formUnion(sealed)
        rolledBack.formUnion(sealed)
    }

    private func putBack(_ node: SimulatedNode, _ backup: SimulatedNode.Backup) {
        node.machine.disk.restore(backup.files)
        node.takeOver(doubtful: backup.doubtful)
        node.witness = backup.witness
        node.tables = backup.tables
    }

    /// Puts a whole machine back: it cannot tell, and goes on under numbers that it used.
    func rollBack(_ node: SimulatedNode) throws {
        guard let backup = node.backup, let origin = backup.origin, origin.node == node.id, node.role != .reader,
            !isRevoked(node)
        else { return }
        try crash(node, losesPower: false)
        trace.note("the machine of \(node.name) is put back as it was")
        tallies.count(.rollBack)
        let common = backup.witness.seen[origin]
        noteFirstContents(of: origin, after: common)
        twins[origin] = min(twins[origin] ?? common, common)
        takeBackUnseen(node.witness.sealed.keys.filter { backup.witness.sealed[$0] == nil })
        putBack(node, node.backup ?? backup)
        node.machine.mark.clone(backup.mark)
    }

    /// Where each of an origin's names stood for one content until now, whoever has it has that.
    private func noteFirstContents(of origin: Origin, after common: SequenceNumber) {
        func note(_ witness: inout Witness) {
            for sequence in common.rawValue..<max(common.rawValue, witness.ever[origin].rawValue) {
                let dot = Dot(origin: origin, sequence: SequenceNumber(sequence + 1))
                guard twins[origin].map({ dot.sequence <= $0 }) ?? true else { return }
                witness.contents[dot] = library[dot].first?.digest
            }
        }
        for node in nodes {
            note(&node.witness)
            if node.backup != nil { note(&node.backup!.witness) }
            if node.copy != nil { note(&node.copy!.witness) }
        }
    }

    /// Makes a copy of a replica, as `backup` does.
    func copyReplica(of node: SimulatedNode) throws {
        let path = "/copy.sqlite"
        guard !node.machine.disk.isTroubled else { return }
        let done: Void? = try work(node, "is copied") { try $0.replica.backup(to: path) }
        guard done != nil, let copy = node.machine.disk.snapshot()[path] else { return }
        tallies.count("copied-in-use")
        trace.note("the replica of \(node.name) is copied")
        node.machine.disk.delete(path, synced: true)
        let mark = VirtualMark()
        mark.clone(node.machine.mark)
        node.copy = SimulatedNode.Backup(
            files: [SimulatedNode.path: copy], witness: node.witness, doubtful: [], tables: node.tables, mark: mark,
            origin: nil)
    }

    func loseDisk(of node: SimulatedNode) throws {
        guard node.index > 0 else { return }
        tallies.count(.diskLost)
        try crash(node, losesPower: false)
        if rarities.chance(300) { node.machine.mark.lose() }
        let copy = rarities.chance(500) ? node.copy : nil
        trace.note("\(node.name) lost its disk\(copy == nil ? "" : ", and has a copy of its replica")")
        takeBackUnseen(node.witness.sealed.keys.filter { copy?.witness.sealed[$0] == nil })
        if let copy { return putBack(node, copy) }
        node.machine.disk.restore([:])
        node.takeOver(doubtful: [])
        node.witness = Witness()
        node.machine.disk.start()
        node.machine.disk.isFull = false
        try join(node)
        try node.replica?.noteRecovery()
    }

    /// Copies a node's whole directory to a machine that has no node yet, and starts what is there.
    func copy(_ node: SimulatedNode) throws {
        guard node.isUp, let other = nodes.last(where: { !$0.hasJoined }), staysConnected(taking: other) else { return }
        trace.note("\(node.name) is copied to the machine of \(other.name)")
        tallies.count(.copy)
        takeOver(node, at: other)
        try other.machine.mark.copy(node.machine.mark)
        try start(other)
    }

    /// Clones a node's whole machine: neither can tell that there is another.
    func fork(_ node: SimulatedNode) throws {
        guard let replica = node.replica, node.role != .reader, !isRevoked(node),
            let other = nodes.last(where: { !$0.hasJoined }), staysConnected(taking: other)
        else { return }
        let origin = try replica.origin
        guard twins[origin] == nil else { return }
        trace.note("the machine of \(node.name) is cloned to that of \(other.name)")
        tallies.count(.fork)
        twins[origin] = node.witness.seen[origin]
        takeOver(node, at: other)
        other.machine.mark.clone(node.machine.mark)
        try start(other)
    }

    private func takeOver(_ node: SimulatedNode, at other: SimulatedNode) {
        other.key = node.key
        other.certificate = node.certificate
        other.tables = node.tables
        other.witness = node.witness
        other.takeOver(doubtful: node.doubtful)
        other.machine.disk.restore(node.machine.disk.snapshot())
        other.hasJoined = true
    }

    /// A node's high-water mark is deleted, while its program runs or does not.
    func loseMark(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        guard node.hasJoined else { return }
        if node.isUp, random.chance(500) { try crash(node, losesPower: false) }
        trace.note("\(node.name)'s high-water mark is lost")
        tallies.count(.markLost)
        node.machine.mark.lose()
    }
}
