import NSQBroker
import NSQClient
import PlayCounts
import TallyBasics
import UVLoop

/// The log of the demo's producer, from which the verdict is computed.
struct DemoProducer: Sendable {
    /// The time at which each play was passed to the connection, by the play's index.
    let sent: [MonotonicInstant]

    /// Starts to publish the plays of the run, and reports when nsqd has acknowledged all plays.
    ///
    /// - Returns: a closure that reports the log so far.
    static func run(
        _ run: DemoRun, on loop: Loop, _ report: @escaping (DemoRun.Event) -> Void
    ) throws -> () -> Void {
        var options = Producer.Options.withoutWaiting
        options.client = run.client
        options.distribution = .roundRobin
        let engine = ProducerEngine(
            on: loop, nsqds: run.nsqds, options: options, logger: LineLog.logger("tally", .error))
        var settings = PlayProducer.Settings()
        settings.rate = run.rate
        var sent: [MonotonicInstant] = []
        sent.reserveCapacity(run.plays.count)
        let producer = PlayProducer(
            on: loop, publisher: engine, topic: run.topic, settings: settings
        ) {
            guard sent.count < run.plays.count else { return nil }
            let play = run.plays[sent.count]
            sent.append(loop.instant)
            let count = sent.count
            run.counters.change { $0.sent = count }
            return play.json
        }
        producer.onProgress = { count in
            run.progress.set("published", count)
            run.counters.change { $0.published = count }
        }
        engine.start()
        producer.start { outcome in
            engine.stop()
            withExtendedLifetime(producer) {}
            switch outcome {
            case .success: report(.produced(DemoProducer(sent: sent)))
            case .failure(let error): report(.failed(error))
            }
        }
        return { report(.produced(DemoProducer(sent: sent))) }
    }
}
