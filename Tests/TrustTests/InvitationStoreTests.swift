import Foundation
import ReplicationModel
import Synchronization
import Testing

@testable import Trust

@Suite struct InvitationStoreTests {
    private let exporter = [UInt8](repeating: 5, count: JoinProofKey.exporterBytes)

    private func redeem(
        _ store: InvitationStore, _ secret: InvitationSecret, _ request: CertificateRequest, at time: WallClock = now,
        exporter other: [UInt8]? = nil
    ) throws(TrustError) -> Invitation {
        let proof = secret.proofKey.proof(exporter: exporter, request: request.der)
        return try store.redeem(
            secret.invitationID, proof: proof, exporter: other ?? exporter, request: request, now: time)
    }

    @Test func anInvitationIsKeptWithoutItsSecret() throws {
        try withScratchDirectory { directory in
            let store = InvitationStore(path: directory + "/invitations")
            let (made, secret) = try store.create(name: "Graz", role: .reader, now: now, expiresAt: now.plus(day))
            #expect(try store.all() == [made])
            #expect(try mode(of: store.path) == 0o700)
            let file = "\(store.path)/\(made.id).json"
            #expect(try mode(of: file) == 0o600)
            let contents = try String(contentsOfFile: file, encoding: .utf8)
            #expect(!contents.contains(Hexadecimal.encode(secret.bytes)))
            let json = try #require(try JSONSerialization.jsonObject(with: Data(contents.utf8)) as? [String: Any])
            #expect(json["role"] as? String == "reader")
            #expect(json["name"] as? String == "Graz")
            #expect(json["expires_at_ms"] as? Int64 == now.plus(day).milliseconds)
        }
    }

    /// Its proof key is enough to join with.
    @Test func whatWasLeftUnfinishedIsRemoved() throws {
        try withScratchDirectory { directory in
            let store = InvitationStore(path: directory + "/invitations")
            let (first, _) = try store.create(name: "Graz", role: .reader, now: now, expiresAt: now.plus(day))
            let left = "\(first.id).json.new-0123456789abcdef"
            let other = "notes.new-0123456789abcdef"
            for name in [left, other] {
                try Data("a proof key".utf8).write(to: URL(fileURLWithPath: store.path + "/" + name))
            }
            let (second, _) = try store.create(name: "Linz", role: .reader, now: now, expiresAt: now.plus(day))
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: store.path).sorted()
                    == ["\(first.id).json", "\(second.id).json", other].sorted())
        }
    }

    @Test func aProofLetsOneNodeIn() throws {
        try withScratchDirectory { directory in
            let store = InvitationStore(path: directory + "/invitations")
            let (made, secret) = try store.create(name: "Graz", role: .writer, now: now, expiresAt: now.plus(day))
            let request = try CertificateRequest(name: "graz", key: .generate())
            let redeemed = try redeem(store, secret, request)
            #expect(redeemed.name == "Graz" && redeemed.role == .writer)
            #expect(redeemed.usedBy == request.publicKey.nodeID)
            #expect(try store.invitation(made.id).usedBy == request.publicKey.nodeID)
            // The answer may have been lost: the same key may ask again, another may not.
            _ = try redeem(store, secret, request)
            let other = try CertificateRequest(name: "graz", key: .generate())
            #expect(failure { () throws(TrustError) in try redeem(store, secret, other) }?.code == .alreadyUsed)
        }
    }

    @Test func aWrongProofUsesNothingUp() throws {
        try withScratchDirectory { directory in
            let store = InvitationStore(path: directory + "/invitations")
            let (made, secret) = try store.create(name: "Graz", role: .writer, now: now, expiresAt: now.plus(day))
            let request = try CertificateRequest(name: "graz", key: .generate())
            let other = try CertificateRequest(name: "graz", key: .generate())
            let proof = secret.proofKey.proof(exporter: exporter, request: request.der)
            func code(_ proof: [UInt8], _ exporter: [UInt8], _ request: CertificateRequest) -> TrustError.Code? {
                failure { () throws(TrustError) in
                    try store.redeem(made.id, proof: proof, exporter: exporter, request: request, now: now)
                }?.code
            }
            var changed = proof
            changed[0] ^= 1
            #expect(code(changed, exporter, request) == .wrongProof)
            #expect(code([], exporter, request) == .wrongProof)
            // Carried over to another session, or to another key.
            #expect(code(proof, [UInt8](repeating: 6, count: 32), request) == .wrongProof)
            #expect(code(proof, exporter, other) == .wrongProof)
            #expect(try store.invitation(made.id).usedBy == nil)
            #expect(code(proof, exporter, request) == nil)
        }
    }

    @Test func anInvitationExpires() throws {
        try withScratchDirectory { directory in
            let store = InvitationStore(path: directory + "/invitations")
            let (_, secret) = try store.create(name: "Graz", role: .writer, now: now, expiresAt: now.plus(day))
            let request = try CertificateRequest(name: "graz", key: .generate())
            let late = failure { () throws(TrustError) in try redeem(store, secret, request, at: now.plus(day + 1)) }
            #expect(late?.code == .expired)
            _ = try redeem(store, secret, request, at: now.plus(day))
        }
    }

    @Test func anUnknownInvitationIsRefused() throws {
        try withScratchDirectory { directory in
            let store = InvitationStore(path: directory + "/invitations")
            #expect(try store.all().isEmpty)
            let request = try CertificateRequest(name: "graz", key: .generate())
            let error = failure { () throws(TrustError) in try redeem(store, .random(), request) }
            #expect(error?.code == .notFound)
        }
    }

    /// Each thread has a store of its own, as each process would: only the directory is shared.
    @Test func ofManyAtOnceOneGetsIn() throws {
        try withScratchDirectory { directory in
            let path = directory + "/invitations"
            for _ in 0..<20 {
                let (made, secret) = try InvitationStore(path: path).create(
                    name: "Graz", role: .writer, now: now, expiresAt: now.plus(day))
                let requests = try (0..<8).map { _ in try CertificateRequest(name: "graz", key: .generate()) }
                let outcomes = Mutex<[(node: NodeID, error: TrustError.Code?)]>([])
                DispatchQueue.concurrentPerform(iterations: requests.count) { index in
                    let request = requests[index]
                    let error = failure { () throws(TrustError) in
                        try redeem(InvitationStore(path: path), secret, request)
                    }
                    outcomes.withLock { $0.append((request.publicKey.nodeID, error?.code)) }
                }
                let winners = outcomes.withLock { $0.filter { $0.error == nil }.map(\.node) }
                #expect(winners.count == 1)
                #expect(outcomes.withLock { $0.filter { $0.error == .alreadyUsed }.count } == 7)
                #expect(try InvitationStore(path: path).invitation(made.id).usedBy == winners.first)
            }
        }
    }
}
