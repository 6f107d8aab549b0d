// What happens when: a queue of events, and the simulation's time.
//
// Invariant: events happen in order of their time, and those of one time in the order in which they were planned.

final class Scheduler {
    private struct Event {
        let time: VirtualTime
        let number: Int
        let action: () throws -> Void

        func isBefore(_ other: Event) -> Bool { time == other.time ? number < other.number : time < other.time }
    }

    private(set) var now = VirtualTime(microseconds: 0)
    private var heap: [Event] = []
    private var planned = 0

    /// Has something happen later.
    func after(_ microseconds: Int64, _ action: @escaping () throws -> Void) {
        at(now.advanced(by: max(0, microseconds)), action)
    }

    func at(_ time: VirtualTime, _ action: @escaping () throws -> Void) {
        planned += 1
        heap.append(Event(time: max(time, now), number: planned, action: action))
        var child = heap.count - 1
        while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Lets everything happen that is due until `time`; it is then that time.
    func run(until time: VirtualTime) throws {
        while let next = heap.first, next.time <= time {
            removeFirst()
            now = next.time
            try next.action()
        }
        now = max(now, time)
    }

    /// Lets one more thing happen. False: nothing is planned until `time`.
    func step(until time: VirtualTime) throws -> Bool {
        guard let next = heap.first, next.time <= time else { return false }
        removeFirst()
        now = next.time
        try next.action()
        return true
    }

    /// Nothing that is planned happens.
    func forget() { heap = [] }

    private func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[least])
            {
                least = child
            }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
