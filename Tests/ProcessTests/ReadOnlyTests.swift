// A replica on a disk that is read-only: what was left open by a service that died is read as it stands, and whatever cannot be done
// says so; nothing is lost, and all goes on once the disk can be written.
import Foundation
import Testing

@Suite(.serialized, .enabled(if: SmallDisk.isPermitted, "tmpfs may not be mounted here"))
struct ReadOnlyTests {
    /// hq, which serves, and a node on a disk of its own that met it and has an article that is sealed.
    private func stage(_ bureaus: Bureaus) async throws -> (hq: Node, laptop: Node, disk: SmallDisk, server: Server) {
        let hq = try await bureaus.found()
        let disk = try SmallDisk(bureaus.node("laptop").data, megabytes: 32)
        let laptop = try await bureaus.admit("laptop", by: hq)
        try await laptop.insertArticle("a1", "Sealed")
        // Which makes the indexes that a replica keeps for itself.
        try await laptop.run("article", "list")
        let server = try await hq.serve()
        try await laptop.exchange("sync", server)
        return (hq, laptop, disk, server)
    }

    /// What was tried, on what, why it failed and what to do; nothing that only a programmer reads.
    private func expectClear(
        _ outcome: Outcome, _ command: [String], saying words: String..., at location: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.status == 74, "\(command): \(outcome)", sourceLocation: location)
        for word in words {
            #expect(
                outcome.errors.lowercased().contains(word.lowercased()), "no “\(word)”: \(command): \(outcome)",
                sourceLocation: location)
        }
        #expect(outcome.errors.split(separator: "\n").count <= 8, "\(command): \(outcome)", sourceLocation: location)
        for trace in ["Fatal error", "Stack dump", "Error Domain", ".swift:"] {
            #expect(!outcome.errors.contains(trace), "\(command): \(outcome)", sourceLocation: location)
        }
    }

    /// That `doctor` calls the disk what it is.
    private func expectDoctorSaysSo(_ node: Node, _ location: SourceLocation = #_sourceLocation) async throws {
        let doctor = try await node.attempt("doctor", "--json")
        #expect(doctor.status == 78, "\(doctor)", sourceLocation: location)
        let disk = try JSON(doctor.output)["checks"]?.elements.first { $0["name"]?.text == "disk" }
        #expect(disk?["state"]?.text == "broken", "\(doctor)", sourceLocation: location)
        let finding = disk?["finding"]?.text ?? ""
        #expect(finding.contains(node.data), "\(doctor)", sourceLocation: location)
        #expect(finding.lowercased().contains("read-only"), "\(doctor)", sourceLocation: location)
        #expect(disk?["remedy"]?.text?.isEmpty == false, "\(doctor)", sourceLocation: location)
    }

    /// As a failing disk does it under a service: the log of the last commits is there, and whoever only reads gets them.
    @Test(.timeLimit(.minutes(10))) func aDiskThatBecameReadOnlyUnderAServiceIsRead() async throws {
        let bureaus = try Bureaus()
        let (hq, laptop, disk, server) = try await stage(bureaus)
        try await laptop.serve().crash()
        // An edit that nobody sealed, of a program that died with the service.
        let died = try await Child.run(
            "python3",
            [
                "-c",
                """
                import os, signal, sqlite3, sys
                c = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
                c.execute("INSERT INTO articles(id, headline) VALUES ('a2', 'Not sealed')")
                os.kill(os.getpid(), signal.SIGKILL)
                """, laptop.replica,
            ])
        #expect(died.status == 128 + SIGKILL, "\(died)")
        for suffix in ["-wal", "-shm"] {
            try #require(FileManager.default.fileExists(atPath: laptop.replica + suffix), "\(suffix) is gone")
        }
        try disk.makeReadOnly()

        let status = try await laptop.json("status")
        #expect(status["rows"]?["articles"]?.int == 2 && status["unsealed"]?.int == 1, "\(status)")
        let listed = try await laptop.json("article", "list").elements.compactMap { $0["id"]?.text }
        #expect(listed.sorted() == ["a1", "a2"])
        #expect(try await laptop.run("article", "show", "a2").contains("Not sealed"))
        #expect(try await laptop.json("verify")["sound"] == .bool(true))
        // What it would seal first it leaves, and tells of the rest.
        #expect(try await laptop.json("lag")["peers"]?[0]?["name"]?.text == "hq")
        for command in [["held"], ["conflicts"], ["roster"], ["peer", "list"]] {
            let outcome = try await laptop.attempt(command)
            #expect(outcome.status == 0, "\(command): \(outcome)")
        }
        try await expectDoctorSaysSo(laptop)

        let add = ["article", "add", "--headline", "x"]
        expectClear(try await laptop.attempt(add), add, saying: laptop.replica, "readonly", "chmod u+w")
        // The copy could not be vouched for, so there is none; and it says how to get one all the same.
        let copy = bureaus.directory + "/copy.sqlite"
        let backup = ["backup", copy]
        expectClear(
            try await laptop.attempt(backup), backup, saying: copy, "high-water-mark", "read-only", "Nothing is left",
            "copy \(laptop.replica) with the -wal")
        #expect(!FileManager.default.fileExists(atPath: copy), "what it says is not there is")
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: laptop.replica + suffix, toPath: copy + suffix)
        }
        let copied = try await Child.run(
            "sqlite3", [copy, "PRAGMA integrity_check; SELECT headline FROM articles WHERE id = 'a2'"])
        #expect(copied.text == "ok\nNot sealed\n", "\(copied)")

        try disk.makeWritable()
        try await laptop.exchange("sync", server)
        #expect(try await hq.headline("a2") == "Not sealed")
        try await server.stop()
        try await expectAgreement([hq, laptop])
    }

    /// A replica that was closed whole has no log beside it, and SQLite reads it only where it may make one.
    @Test(.timeLimit(.minutes(10))) func aClosedReplicaOnAReadOnlyDiskIsRefusedWithWhatToDo() async throws {
        let bureaus = try Bureaus()
        let (hq, laptop, disk, server) = try await stage(bureaus)
        try await laptop.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ["-wal", "-shm"] {
            try #require(!FileManager.default.fileExists(atPath: laptop.replica + suffix), "\(suffix) was left")
        }
        try disk.makeReadOnly()
        let copy = bureaus.directory + "/copy.sqlite"
        for command in [
            ["status"], ["status", "--json"], ["article", "list"], ["article", "show", "a1"], ["verify"], ["lag"],
            ["held"], ["conflicts"], ["roster"], ["backup", copy],
        ] {
            expectClear(
                try await laptop.attempt(command), command, saying: laptop.replica, "unable to open database file",
                "chmod u+w")
        }
        #expect(!FileManager.default.fileExists(atPath: copy))
        try await expectDoctorSaysSo(laptop)
        try disk.makeWritable()
        #expect(try await laptop.headline("a1") == "Sealed")
        try await laptop.exchange("sync", server)
        try await server.stop()
        try await expectAgreement([hq, laptop])
    }
}
