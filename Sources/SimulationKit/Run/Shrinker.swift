// From a run that failed to the smallest that still does.
//
// Invariant: what it returns was seen to fail.

public struct Shrinker {
    /// Attempts that it may make; each is a run.
    public var attempts: Int
    private let fails: (SimulationOptions) -> Bool
    private let progress: (SimulationOptions) -> Void

    /// - Parameters:
    ///   - progress: told of each smaller run that fails.
    ///   - fails: runs it.
    public init(
        attempts: Int = 80, progress: @escaping (SimulationOptions) -> Void = { _ in },
        fails: @escaping (SimulationOptions) -> Bool
    ) {
        self.attempts = attempts
        self.progress = progress
        self.fails = fails
    }

    /// - Parameter options: of a run that failed.
    public mutating func shrink(_ options: SimulationOptions) -> SimulationOptions {
        var best = options
        var before: SimulationOptions
        repeat {
            before = best
            shrinkSteps(&best)
            for fault in best.faults.sorted() { attempt(&best) { $0.faults.remove(fault) } }
            while best.nodes > 2, attempt(&best, { $0.nodes -= 1 }) {}
        } while best != before && attempts > 0
        return best
    }

    /// Steps are taken one after another, so fewer are the beginning of the same run.
    private mutating func shrinkSteps(_ best: inout SimulationOptions) {
        var cut = best.steps / 2
        while cut > 0, attempts > 0 {
            let fewer = cut
            if best.steps <= fewer || !attempt(&best, { $0.steps -= fewer }) { cut /= 2 }
        }
    }

    @discardableResult
    private mutating func attempt(_ best: inout SimulationOptions, _ change: (inout SimulationOptions) -> Void) -> Bool
    {
        guard attempts > 0 else { return false }
        attempts -= 1
        var smaller = best
        change(&smaller)
        guard fails(smaller) else { return false }
        best = smaller
        progress(best)
        return true
    }
}
