// Where to cut a run of captured writes so that no transaction is cut in two.
//
// Invariant: a cut lies in the later half of what fits, so that change sets stay large whatever the pauses are.

/// Triggers are told nothing of transactions: SQLite has no SQL for "this transaction", and `at` is the only trace. The
/// writes of one transaction follow each other, and a commit and what comes before the next transaction take time between
/// two. So a cut is made where the writer paused longest.
enum TransactionBorder {
    /// The index of the first write after the cut.
    ///
    /// - Parameters:
    ///   - range: the writes that fit; its end is a place to cut as well, and what is taken where nobody paused.
    ///   - pause: milliseconds between the write at an index and the one before it.
    static func cut(in range: Range<Int>, pause: (Int) -> Int64) -> Int {
        var best = range.upperBound
        var longest = max(pause(best), 0)
        for index in stride(from: range.upperBound - 1, to: range.lowerBound + range.count / 2, by: -1) {
            let milliseconds = pause(index)
            if milliseconds > longest { (best, longest) = (index, milliseconds) }
        }
        return best
    }
}
