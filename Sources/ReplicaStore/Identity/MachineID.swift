// Which machine this is, so that a copy of a node's directory is known for one.
//
// Invariant: the machine's own id leaves this file only as a digest together with the node's.

internal import Glibc
internal import ReplicationModel
internal import Trust

/// The installation of an operating system. A machine without an id, as many containers are, is no other machine than any:
/// programs inside and outside a container may share a directory, and there the file's birth time tells copies apart.
/// An id that changes without need (a container made anew with one drawn at random) costs a new incarnation and
/// nothing else.
public struct MachineID: Hashable, Sendable {
    private let id: [UInt8]

    /// See machine-id(5); the second is what came before it.
    private static let places = ["/etc/machine-id", "/var/lib/dbus/machine-id"]

    /// The machine this program runs on.
    public static let current = MachineID(readingFirstOf: places)

    /// - Parameter places: files, of which the first that holds an id counts.
    public init(readingFirstOf places: [String]) {
        id = places.lazy.map(Self.contents).first { !$0.isEmpty } ?? []
    }

    /// What stands for a machine without an id.
    static let none = "none"

    /// 32 hexadecimal digits, which tell nothing of the machine to whoever sees them; `none` where there is no id.
    func digest(for node: NodeID) -> String {
        guard !id.isEmpty else { return Self.none }
        return SHA256.digest(Array("syncnode machine v1\0".utf8) + node.bytes + id).first.description
    }

    /// The id in a file; empty where there is none, or it is yet to be drawn.
    private static func contents(_ path: String) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(file, &bytes, bytes.count)
        guard count > 0 else { return [] }
        let id = Array(bytes[..<count].prefix { $0 > 32 })
        return id == Array("uninitialized".utf8) ? [] : id
    }
}
