// Opening the node a command is about.

import NewsStore
import NodeRuntime

extension GlobalOptions {
    /// The node in the directory, with the tables of articles and commitments.
    func openNode() throws -> Node { try Node.open(directory, tables: NewsTables.all) }

    /// Its articles and commitments.
    func openNews() throws -> NewsStore { try NewsStore(openNode().replica) }
}
