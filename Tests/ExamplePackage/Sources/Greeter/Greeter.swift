import NSQClient

/// Greets every user who signs up.
public struct Greeter: Sendable {
    private let consumer: Consumer
    private let producer: Producer

    public init(nsqd: String) throws {
        consumer = try Consumer(topic: "signups", channel: "greeter", nsqds: [nsqd])
        producer = try Producer(nsqd: nsqd)
    }

    /// Greets until `stop` is called.
    public func run() async throws {
        try await consumer.run(concurrency: 4) { signup in
            let name = String(decoding: signup.body, as: UTF8.self)
            try await producer.publish("Hello, \(name)!", to: "greetings")
        }
    }

    public func stop() async {
        await consumer.stop()
        await producer.stop()
    }
}
