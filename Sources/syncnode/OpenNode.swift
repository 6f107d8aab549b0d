// Opening the node a command is about.

import NewsStore
import NodeRuntime
import ReplicaStore
import Trust

extension GlobalOptions {
    /// The node in the directory, with the tables of articles and commitments.
    func openNode() throws -> Node { try Node.open(directory, tables: NewsTables.all) }

    /// The same, to be verified: one that does not agree with its high-water mark, too.
    func openNodeToVerify() throws -> Node { try Node.open(directory, tables: NewsTables.all, heedsMark: false) }

    /// Its articles and commitments.
    func openNews() throws -> NewsStore { try NewsStore(openNode().replica) }

    /// The same, to write in.
    func openNewsToWrite() throws -> NewsStore { try NewsStore(openNodeToWrite().replica) }

    /// The node, to write in: refused on a reader, whose edits no other node would ever accept.
    func openNodeToWrite() throws -> Node {
        let node = try openNode()
        guard node.certificate.role != .reader else {
            throw CommandFailure(
                .refused,
                """
                This node, “\(node.name)”, is a reader of “\(node.replica.workspace.name)”: no other node accepts what it writes.
                Write on another node, or join from another --data directory by a writer's invitation: syncnode invite NAME
                """)
        }
        return node
    }
}
