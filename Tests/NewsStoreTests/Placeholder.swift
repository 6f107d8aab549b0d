// NewsStoreTests
