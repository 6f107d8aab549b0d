// Where to cut a run of captured writes so that no transaction is cut in two.
//
// Invariant: something is always taken, and where nobody paused all that fits.

/// Triggers are told nothing of transactions: SQLite has no SQL for "this transaction", and the time of each write is the
/// only trace. The writes of one transaction follow each other; a commit and what comes before the next transaction take
/// time between two. So a cut is made at the last pause that is as wide as any, within a factor of two: pauses within
/// transactions are shorter, and those of one kind vary.
///
/// The factor also bounds the cost: cuts that leave much behind need pauses that halve each time, and a year is 35 halvings
/// of a millisecond.
enum TransactionBorder {
    /// The index of the first write after the cut.
    ///
    /// - Parameters:
    ///   - range: the writes that fit; its end is a place to cut as well.
    ///   - pause: milliseconds between the write at an index and the one before it; less than 0 where the clock went back.
    static func cut(in range: Range<Int>, pause: (Int) -> Int64) -> Int {
        let places = range.lowerBound + 1...range.upperBound
        let widest = places.reduce(0) { max($0, pause($1)) }
        return places.last { pause($0) >= widest - widest / 2 } ?? range.upperBound
    }
}
