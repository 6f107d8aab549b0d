// A plain TCP relay before a service, which keeps all that goes through it, and can be made to lead elsewhere.
//
// Invariant: what has reached either side stands in the record: it is written down before it is passed on.
import Foundation

final class WireTap: Sendable {
    private static let program = """
        import socket, sys, threading
        record, way = open(sys.argv[1], "ab", buffering=0), sys.argv[2]
        lock = threading.Lock()
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        print(listener.getsockname()[1], flush=True)
        def carry(source, target):
            try:
                while data := source.recv(65536):
                    with lock: record.write(data)
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                for end in (source, target):
                    try: end.shutdown(socket.SHUT_RDWR)
                    except OSError: pass
        while True:
            caller, _ = listener.accept()
            callee = socket.create_connection(("127.0.0.1", int(open(way).read())))
            for ends in ((caller, callee), (callee, caller)):
                threading.Thread(target=carry, args=ends, daemon=True).start()
        """

    /// HOST:PORT, before the service's own.
    let address: String
    private let child: Child
    /// Its files are in that directory, which must not go before it.
    private let bureaus: Bureaus
    private let recordPath: String
    private let wayPath: String

    /// - Parameter port: of the service.
    init(_ bureaus: Bureaus, to port: Int) async throws {
        self.bureaus = bureaus
        let place = bureaus.directory + "/tap-\(UUID().uuidString)"
        recordPath = place + ".record"
        wayPath = try Self.write(port, to: place + ".way")
        let child = try Child("python3", ["-c", Self.program, recordPath, wayPath])
        let own: Int = try await eventually("the relay listens: \(child.errors)") {
            let text = String(decoding: child.output, as: UTF8.self)
            return text.hasSuffix("\n") ? Int(text.dropLast()) : nil
        }
        address = "127.0.0.1:\(own)"
        self.child = child
    }

    /// Where connections go from now on.
    func lead(to port: Int) throws { _ = try Self.write(port, to: wayPath) }

    private static func write(_ port: Int, to path: String) throws -> String {
        try Data("\(port)".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        return path
    }

    /// All bytes so far, of both directions, as they came.
    var record: Data { FileManager.default.contents(atPath: recordPath) ?? Data() }
}
