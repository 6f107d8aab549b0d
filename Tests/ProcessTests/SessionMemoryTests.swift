// Memory of the service over several hundred sessions; `Deploy/session-memory` does the same over ten thousand.
import Foundation
import Testing

@Suite struct SessionMemoryTests {
    /// What every session left behind would be seen: 400 of them send 35 KB each to their peers, and whatever one keeps.
    @Test(.timeLimit(.minutes(10))) func sessionsLeaveNothingBehind() async throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Deploy/session-memory").path
        let outcome = try await Child(
            "python3",
            [script, "--syncnode", Bureaus.program, "--sessions", "700", "--warm-up", "300", "--growth", "12"]
        ).wait(seconds: 170)
        #expect(outcome.status == 0, "\(outcome)")
        let figures = try JSON(outcome.output)
        #expect(figures["sessions"]?.int == 700 && (figures["received_bytes"]?.int ?? 0) > 10_000_000, "\(figures)")
        print("memory: \(figures["resident_mb"] ?? .null) MB resident after so many sessions")
    }
}
