// Waiting, in loops that end when their task is cancelled.
//
// Invariant: a pause throws nothing: whoever was cancelled meanwhile is told by its own loop's condition.

/// Waits; not for as long where the task is cancelled.
func pause(for duration: Duration) async { try? await Task.sleep(for: duration) }

/// Waits that long, cancelled or not: for work that must be waited for when everything else ends.
func pauseFully(for duration: Duration) async { await Task { await pause(for: duration) }.value }
