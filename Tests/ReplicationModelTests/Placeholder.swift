// ReplicationModelTests
