// syncnode article import

import ArgumentParser
import Foundation
import NewsStore

struct ArticleImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take in articles from files.",
        discussion: """
            syncnode article import story.txt                 raw wire text
            syncnode article import archive.jsonl feed.json   JSON Lines, IPTC ninjs
            curl … | syncnode article import -                from standard input

            The same story twice is one article, also when two offline bureaus take it in. What is here already is left as
            it is, unless the new one says that it is a later version. A file that cannot be read does not stop the others:
            it is named, with the line, and the exit code is 65.
            """)

    /// As it is typed.
    enum Format: String, ExpressibleByArgument, CaseIterable { case wire, ninjs, jsonl }

    @Argument(help: ArgumentHelp("Files; - is standard input.", valueName: "file")) var files: [String]
    @Option(help: "What they are; guessed where it is left out.") var format: Format?
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let news = try options.openNews()
        let bar = ProgressBar("import")
        var imported: [ImportedArticle] = []
        var failures: [any Error] = []
        var read = 0
        for file in files {
            do {
                var reader = try ArticleReader(
                    ArticleInput(path: file), format: format.flatMap { ArticleFormat(rawValue: $0.rawValue) })
                let progress = try news.importArticles(&reader) {
                    imported.append($0)
                } progress: {
                    bar.update(
                        done: UInt64(read + $0.read), total: nil,
                        note: "articles read, \(Figures.count($0.created)) new")
                }
                read += progress.read
                if !progress.ignored.isEmpty {
                    say(
                        "\(file): not taken in, as nothing here holds it: \(progress.ignored.sorted().joined(separator: ", "))"
                    )
                }
            } catch {
                failures.append(error)
            }
        }
        bar.finish()
        if options.json { try printJSON(imported) } else { print(Self.text(imported)) }
        guard let first = failures.first else { return }
        for failure in failures.dropFirst() { say(printable("\(failure)")) }
        throw first
    }

    /// A few are named; many are counted.
    private static func text(_ imported: [ImportedArticle]) -> String {
        guard imported.count > 20 else {
            return imported.map { article in
                let mark = Terminal.output.styled(article.outcome.rawValue, article.created ? .green : .dim)
                return "\(mark)  \(article.id)  \(printableLine(article.headline))"
            }.joined(separator: "\n")
        }
        let counts = Dictionary(grouping: imported, by: \.outcome).mapValues(\.count)
        return "Took in \(Figures.count(imported.count, "article")): "
            + counts.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                "\(Figures.count($0.value)) \($0.key.rawValue)"
            }
            .joined(separator: ", ") + "."
    }
}
