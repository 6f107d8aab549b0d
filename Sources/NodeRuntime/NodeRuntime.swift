// The runtime of a node.
