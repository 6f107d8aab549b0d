// What ends a command that goes on by itself: SIGTERM always, Ctrl-C on a terminal, and no Ctrl-C that was meant for others.
import Foundation
import Testing

@Suite(.serialized) struct SignalTests {
    /// Runs a command as a shell without job control runs `command &`: with SIGINT ignored. Gives its process id.
    private static let inBackground = """
        "$0" "$@" & echo $! > "$PIDFILE"; wait $!; echo $? > "$PIDFILE.status"
        """

    private struct Background {
        let shell: Child
        let pid: pid_t
        let statusPath: String

        init(_ node: Node, _ arguments: [String], _ bureaus: Bureaus, _ wrapper: [String] = []) async throws {
            let file = bureaus.directory + "/pid-\(UUID().uuidString)"
            let words = wrapper + [Bureaus.program] + arguments
            shell = try Child(
                "sh", ["-c", SignalTests.inBackground] + words,
                environment: ["SYNCNODE_DATA": node.data, "PIDFILE": file])
            statusPath = file + ".status"
            pid = try await eventually("the shell says whom it started") {
                let text = String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
                return text.hasSuffix("\n") ? pid_t(text.trimmingCharacters(in: .newlines)) : nil
            }
        }

        /// 128 and the signal's number where a signal ended it.
        func status() async throws -> Int32 {
            _ = try await shell.wait(seconds: 20)
            let text = String(decoding: FileManager.default.contents(atPath: statusPath) ?? Data(), as: UTF8.self)
            return try #require(Int32(text.trimmingCharacters(in: .newlines)), "\(text)")
        }
    }

    private func writeUntilWatched(_ node: Node, _ output: () -> [UInt8]) async throws {
        var count = 0
        _ = try await eventually("watch shows an edit") {
            count += 1
            try await node.insertArticle("w\(count)-\(UUID().uuidString)", "watched")
            return output().isEmpty ? nil : true
        }
    }

    @Test(.timeLimit(.minutes(3))) func inTheBackgroundOfAScriptSIGTERMEndsThem() async throws {
        let bureaus = try Bureaus()
        let node = try await bureaus.found()
        let watch = try await Background(node, ["watch"], bureaus)
        try await writeUntilWatched(node) { watch.shell.output }
        kill(watch.pid, SIGINT)
        // It is alive and at work after the Ctrl-C that was meant for the script.
        let before = watch.shell.output.count
        try await node.insertArticle("after", "after SIGINT")
        _ = try await eventually("it goes on") { watch.shell.output.count > before ? true : nil }
        kill(watch.pid, SIGTERM)
        #expect(try await watch.status() == 128 + SIGTERM)

        let serve = try await Background(node, ["serve", "--listen", "127.0.0.1:0"], bureaus)
        let address = try await eventually("it serves") {
            String(decoding: serve.shell.output, as: UTF8.self).firstMatch(of: /ready peers=(\S+)/).map {
                String($0.output.1)
            }
        }
        kill(serve.pid, SIGINT)
        // It is at work after that one too.
        let other = try await bureaus.admit("istanbul", by: node)
        try await other.insertArticle("served", "After SIGINT")
        try await other.run("push", address)
        #expect(try await node.headline("served") == "After SIGINT")
        #expect(!serve.shell.errors.contains("stopping"), "\(serve.shell.errors)")
        kill(serve.pid, SIGTERM)
        #expect(try await serve.status() == 0)
        #expect(serve.shell.errors.contains("stopped"))
        try await node.expectSound()
    }

    /// Whoever started it had it ignore or block SIGTERM: it ends by it all the same, as what supervises it has no other word.
    @Test(
        .timeLimit(.minutes(3)),
        arguments: [
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
        ]) func anIgnoredSIGTERMEndsThemToo(setting: String) async throws
    {
        let bureaus = try Bureaus()
        let node = try await bureaus.found()
        let python = "import os, signal, sys; \(setting); os.execv(sys.argv[1], sys.argv[1:])"
        let watch = try await Background(node, ["watch"], bureaus, ["python3", "-c", python])
        try await writeUntilWatched(node) { watch.shell.output }
        kill(watch.pid, SIGTERM)
        #expect(try await watch.status() == 128 + SIGTERM)
    }

    /// Runs a command on a terminal of its own, types Ctrl-C or hangs up once it shows something, and prints how it ended.
    private static let onTerminal = """
        import os, pty, signal, sys, time
        pid, terminal = pty.fork()
        if pid == 0:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)
            if sys.argv[1] == "nohup": signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.execv(sys.argv[2], sys.argv[2:])
        shown = b""
        while sys.argv[1] != "watch" and b"serving" not in shown or not shown:
            shown += os.read(terminal, 4096)
        if sys.argv[1] in ("hangup", "nohup"): os.kill(pid, signal.SIGHUP)
        else: os.write(terminal, b"\\x03")
        if sys.argv[1] == "nohup":
            time.sleep(0.5)
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it went with the terminal"
            os.kill(pid, signal.SIGTERM)
        try:
            while os.read(terminal, 4096): pass
        except OSError: pass
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """

    private func onTerminal(_ how: String, _ node: Node, _ arguments: String...) throws -> Child {
        try Child(
            "python3", ["-c", Self.onTerminal, how, Bureaus.program] + arguments,
            environment: ["SYNCNODE_DATA": node.data])
    }

    @Test(.timeLimit(.minutes(3))) func onATerminalCtrlCEndsThem() async throws {
        let bureaus = try Bureaus()
        let node = try await bureaus.found()
        let watch = try onTerminal("watch", node, "watch", "--since", "0")
        try await node.insertArticle("w", "watched")
        let watched = try await watch.wait(seconds: 30)
        #expect(watched.text == "-\(SIGINT)\n", "\(watched)")
        for how in ["interrupt", "hangup", "nohup"] {
            let serve = try onTerminal(how, node, "serve", "--listen", "127.0.0.1:0")
            let served = try await serve.wait(seconds: 30)
            #expect(served.text == "0\n", "\(how): \(served)")
        }
        try await node.expectSound()
    }

    /// The first says that it should stop, and it stops when it can; whoever sends a second has waited long enough.
    @Test(.timeLimit(.minutes(5))) func aSecondInterruptEndsACommandThatWaitsForTheFile() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        try await nodes[0].sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
            INSERT INTO articles(id, headline, body) SELECT 'k-' || i, 'article ' || i, hex(randomblob(400)) FROM n
            """)
        let server = try await nodes[0].serve()
        try await nodes[0].run("status")
        let pull = try nodes[1].start(["pull", server.address])
        _ = try await eventually("something arrived", every: 5) {
            try await nodes[1].sql("SELECT count(*) FROM articles") == "0" ? nil : true
        }
        let other = try Child(
            "sqlite3",
            [
                nodes[1].replica, ".timeout 60000",
                "BEGIN IMMEDIATE; INSERT INTO articles(id) VALUES ('half');",
                ".shell echo held; sleep 100",
            ])
        _ = try await eventually("another program writes", within: 60) {
            other.output.isEmpty ? nil : true
        }
        pull.signal(SIGINT)
        try await Task.sleep(for: .seconds(1))
        #expect(pull.status == nil, "it waits for the file")
        pull.signal(SIGINT)
        #expect(try await pull.wait(seconds: 10).status == 128 + SIGINT)
        other.signal(SIGKILL)
        try await nodes[1].exchange("pull", server)
        try await server.stop()
        for node in nodes { try await node.expectSound() }
    }
}
