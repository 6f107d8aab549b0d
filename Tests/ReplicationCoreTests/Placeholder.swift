// ReplicationCoreTests
