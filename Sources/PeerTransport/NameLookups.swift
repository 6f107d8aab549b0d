// The look-up of names, away from event loops and apart from each other.
//
// Invariant: a name whose look-up hangs keeps nobody waiting but those who asked for it, as long as fewer than
// `greatestAtOnce` names hang; and however often a name is asked for, one look-up of it runs.
internal import Dispatch
internal import NIOCore
internal import NIOPosix
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Looks names up with getaddrinfo(3), which blocks for as long as the system's resolver likes: half a minute, where a name
/// server is silent.
final class NameLookups: Sendable {
    /// The system has one resolver, so that what bounds its use is one as well.
    static let shared = NameLookups()

    /// Look-ups at once: each holds a thread. A node knows fewer names than that; where more hang, the others wait their turn.
    private static let greatestAtOnce = 32

    /// Of a name, without a port; or why there are none, in the system's words.
    typealias Addresses = Result<[SocketAddress], LookupFailure>
    typealias Waiter = @Sendable (Addresses) -> Void

    private struct State {
        /// Those who wait for each name that is being looked up, or is to be.
        var waiters: [String: [Waiter]] = [:]
        /// Names whose look-up has not begun, the first first.
        var queue: CircularBuffer<String> = []
        var running = 0
    }

    private let state = Mutex(State())

    /// - Parameter waiter: called once, on a thread where it must not block.
    func lookUp(_ name: String, _ waiter: @escaping Waiter) {
        let isNew = state.withLock { state in
            state.waiters[name, default: []].append(waiter)
            guard state.waiters[name]?.count == 1 else { return false }
            state.queue.append(name)
            return true
        }
        if isNew { beginNext() }
    }

    private func beginNext() {
        let name: String? = state.withLock { state in
            guard state.running < Self.greatestAtOnce, let name = state.queue.popFirst() else { return nil }
            state.running += 1
            return name
        }
        guard let name else { return }
        // A queue of its own: it gets a thread whatever the others, and other work, are waiting for.
        DispatchQueue(label: "syncnode.lookup").async { [self] in
            let addresses = Self.systemAddresses(of: name)
            let waiters = state.withLock { state in
                state.running -= 1
                return state.waiters.removeValue(forKey: name) ?? []
            }
            for waiter in waiters { waiter(addresses) }
            beginNext()
        }
    }

    private static func systemAddresses(of name: String) -> Addresses {
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        hints.ai_protocol = Int32(IPPROTO_TCP)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else { return .failure(LookupFailure(reason: String(cString: gai_strerror(code)))) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            guard let address = UnsafeRawPointer(entry.pointee.ai_addr) else { continue }
            switch entry.pointee.ai_family {
            case AF_INET: addresses.append(SocketAddress(address.loadUnaligned(as: sockaddr_in.self), host: name))
            case AF_INET6: addresses.append(SocketAddress(address.loadUnaligned(as: sockaddr_in6.self), host: name))
            default: break
            }
        }
        return .success(addresses)
    }
}

/// Why a name has no addresses.
struct LookupFailure: Error {
    /// In the system's words.
    let reason: String
}

/// The look-up of one dial, as NIO asks for it: of IPv6 and of IPv4 addresses, each told on the dial's event loop.
final class DialResolver: Resolver, Sendable {
    private let lookups: NameLookups
    private let ipv6: EventLoopPromise<[SocketAddress]>
    private let ipv4: EventLoopPromise<[SocketAddress]>
    private let waiting = Atomic(false)

    /// Whether a look-up was begun and has not ended.
    var isWaiting: Bool { waiting.load(ordering: .acquiring) }

    init(loop: any EventLoop, lookups: NameLookups = .shared) {
        self.lookups = lookups
        ipv6 = loop.makePromise()
        ipv4 = loop.makePromise()
    }

    /// NIO asks for these first; one look-up finds both kinds.
    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        waiting.store(true, ordering: .releasing)
        lookups.lookUp(host) { [self] found in
            waiting.store(false, ordering: .releasing)
            // Both in one turn of the loop: NIO would else try what came first alone for a while.
            ipv6.futureResult.eventLoop.execute { [self] in
                switch found {
                case .success(let addresses):
                    let reached = addresses.map { address in
                        var address = address
                        address.port = port
                        return address
                    }
                    ipv6.succeed(reached.filter { $0.protocol == .inet6 })
                    ipv4.succeed(reached.filter { $0.protocol == .inet })
                case .failure(let failure):
                    ipv6.fail(failure)
                    ipv4.fail(failure)
                }
            }
        }
        return ipv6.futureResult
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { ipv4.futureResult }

    /// The system's look-ups cannot be broken off; what they find is thrown away.
    func cancelQueries() {}
}
