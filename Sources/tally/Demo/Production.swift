import NSQBroker
import NSQClient
import PlayCounts
import UVLoop

/// The demo's producer, and what it has to say for the verdict.
struct Production: Sendable {
    /// When each play was handed to the connection, in their order.
    let sent: [Instant]

    /// Publishes the run's plays from `loop`, and tells when all are acknowledged.
    static func run(
        _ run: DemoRun, on loop: Loop, _ tell: @escaping (DemoRun.Event) -> Void
    ) throws {
        let engine = ProducerEngine(
            on: loop, nsqd: run.nsqd, logger: LineLog.logger("tally", .error))
        var settings = PlayProducer.Settings()
        settings.rate = run.rate
        var sent: [Instant] = []
        sent.reserveCapacity(run.plays.count)
        let producer = PlayProducer(on: loop, engine: engine, topic: run.topic, settings: settings)
        {
            guard sent.count < run.plays.count else { return nil }
            let play = run.plays[sent.count]
            sent.append(loop.instant)
            return play.json
        }
        producer.onProgress = { run.progress.set("published", $0) }
        engine.start()
        producer.start { outcome in
            engine.stop()
            // Kept until here.
            withExtendedLifetime(producer) {}
            switch outcome {
            case .success: tell(.produced(Production(sent: sent)))
            case .failure(let error): tell(.failed(error))
            }
        }
    }
}
