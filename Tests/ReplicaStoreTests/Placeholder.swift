// ReplicaStoreTests
