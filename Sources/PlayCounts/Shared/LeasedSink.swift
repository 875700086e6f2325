import TallyBasics
import UVLoop

/// Makes calls only while the lease of the client lasts, one at a time.
///
/// A call that is not answered within its deadline has failed. Then, and after any other failure,
/// the calls that wait fail as well, so that an older total never arrives after a newer one.
final class LeasedSink: Sink {
    private typealias Pending = (
        call: Call, completion: (Result<Void, SinkError>) -> Void
    )

    private let sink: any Sink
    private let deadline: Duration
    private let mayCall: () -> Bool
    private let timer: Timer
    // INVARIANT: the first call is in progress.
    private var queue: [Pending] = []
    /// The number of the call in progress, so that the response to an abandoned call is ignored.
    private var current = 0

    /// Creates a sink.
    ///
    /// - Parameters:
    ///   - sink: makes the calls.
    ///   - deadline: the maximum duration of a call.
    ///   - mayCall: returns whether a call may start now.
    init(
        _ sink: any Sink, deadline: Duration, on loop: Loop, mayCall: @escaping () -> Bool
    ) {
        self.sink = sink
        self.deadline = deadline
        self.mayCall = mayCall
        timer = Timer(on: loop)
    }

    func send(_ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void) {
        queue.append((call, completion))
        if queue.count == 1 { sendFirst() }
    }

    func abandonCalls() {
        current += 1
        queue = []
        timer.stop()
        sink.abandonCalls()
    }

    func close() {
        abandonCalls()
        timer.close()
    }

    private func sendFirst() {
        current += 1
        let number = current
        guard mayCall() else {
            return end(number, .failure(.unreachable("the lease of the client ends")))
        }
        let deadline = deadline
        timer.start(after: deadline) { [weak self] in
            guard let self, current == number else { return }
            sink.abandonCalls()
            end(number, .failure(.unreachable("no response within \(deadline)")))
        }
        sink.send(queue[0].call) { [weak self] in self?.end(number, $0) }
    }

    private func end(_ number: Int, _ result: Result<Void, SinkError>) {
        guard number == current, !queue.isEmpty else { return }
        timer.stop()
        current += 1
        switch result {
        case .success:
            let completion = queue.removeFirst().completion
            if !queue.isEmpty { sendFirst() }
            completion(result)
        case .failure:
            let failed = queue
            queue = []
            for failed in failed { failed.completion(result) }
        }
    }
}
