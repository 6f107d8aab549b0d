// Reading the bodies that this replica keeps. They were checked when they came, so one that does not read was damaged since.

internal import ReplicationModel
internal import ReplicationWire

extension ChangeSetCodec {
    /// - Parameter place: where the body stands, for the error.
    /// - Throws: `ReplicaError` of code `.damaged`.
    static func decode(kept body: [UInt8], _ place: @autoclosure () -> String) throws(ReplicaError) -> ChangeSet {
        do {
            return try decode(body)
        } catch {
            throw .damaged("\(place()) (\(error))")
        }
    }
}

extension ChangeSetView {
    /// - Parameter place: where the body stands, for the error.
    /// - Throws: `ReplicaError` of code `.damaged`.
    init(kept body: [UInt8], _ place: @autoclosure () -> String) throws(ReplicaError) {
        do {
            try self.init(body)
        } catch {
            throw .damaged("\(place()) (\(error))")
        }
    }
}
