// The threat model's word: every test that it names is there.
import Foundation
import Testing

@Suite struct ThreatModelTests {
    @Test func everyTestThatItNamesExists() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appendingPathComponent("Protocols/threat-model.md"), encoding: .utf8)
        let names = text.matches(of: /`([A-Za-z]+Tests)\/([A-Za-z]+)\.([A-Za-z0-9]+)`/).map(\.output)
        #expect(names.count > 60)
        for (_, target, suite, test) in names {
            let folder = root.appendingPathComponent("Tests/\(target)")
            let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            let found = try files.filter { $0.pathExtension == "swift" }.contains { file in
                let source = try String(contentsOf: file, encoding: .utf8)
                guard let start = source.firstRange(of: "struct \(suite) ") else { return false }
                return source[start.upperBound...].contains("func \(test)(")
            }
            #expect(found, "\(target)/\(suite).\(test)")
        }
    }
}
