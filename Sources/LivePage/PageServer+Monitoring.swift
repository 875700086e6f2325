import HTTP
import PlayCounts
import TallyBasics
import UVLoop

/// The requests `/metrics` and `/healthz`, and the backlog of the processor.
extension PageServer {
    /// Responds with the metrics of the processor, its channel and the page, in the format of
    /// Prometheus.
    func respondWithMetrics(_ respond: @escaping (HTTPResponse) -> Void) {
        monitor.read { [weak self] result in
            switch result {
            case .success(let metrics):
                respond(.metrics(self?.metricsText(metrics) ?? ""))
            case .failure(let failure): respond(.unavailable("\(failure)"))
            }
        }
    }

    /// Responds with status 200 if plays are counted, and otherwise with status 503 and the reason.
    func respondWithHealth(_ respond: @escaping (HTTPResponse) -> Void) {
        monitor.read { result in
            switch result.map(\.problem) {
            case .success(nil): respond(.text(200, "ok", [("Cache-Control", "no-store")]))
            case .success(let problem?): respond(.unavailable(problem))
            case .failure(let failure): respond(.unavailable("\(failure)"))
            }
        }
    }

    /// Reads the age of the processor's backlog, which the page shows if the depth of the channel
    /// is unknown.
    func readBacklog() {
        guard statistics.queue == nil, subscriberCount > 0 else { return }
        monitor.read { [weak self] result in
            if case .success(let metrics) = result { self?.setBacklogAge(metrics.backlogAge) }
        }
    }

    private func metricsText(_ processor: ProcessorMetrics) -> String {
        var text = PrometheusText()
        text.add("tally_build_info", .gauge, "The version of tally.")
        text.sample(1, ("version", TallyVersion.current))
        text.addProcessUsage()
        var processor = processor
        // The processor measures only the messages that it has received. Older messages may still
        // wait in nsqd.
        processor.backlogAge = max(processor.backlogAge, statistics.queue?.oldestAge ?? .zero)
        text.add(processor)
        text.add(
            "tally_calls_minimum_total", .counter,
            "Fewest calls that publish the committed counts to one client in time.")
        text.sample(statistics.leastCalls)
        if let queue = statistics.queue {
            text.add("tally_queue_messages", .gauge, "Number of messages in the channel, by state.")
            text.sample(queue.depth, ("state", "queued"))
            text.sample(queue.inFlight, ("state", "in_flight"))
            text.sample(queue.deferred, ("state", "deferred"))
        }
        text.add("tally_page_browsers", .gauge, "Number of browsers that show the page.")
        text.sample(subscriberCount)
        return text.text
    }
}

extension HTTPResponse {
    fileprivate static func metrics(_ text: String) -> HTTPResponse {
        page(
            200, PrometheusText.contentType, Array(text.utf8), [("Cache-Control", "no-store")])
    }

    fileprivate static func unavailable(_ reason: String) -> HTTPResponse {
        text(503, reason, [("Cache-Control", "no-store")])
    }
}
