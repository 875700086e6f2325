import Logging
import NSQBroker

/// Runs a test with a broker of its own: in memory, at a free port of 127.0.0.1, ready when `body` is
/// called, and stopped afterwards together with the clients that it created.
///
/// ```swift
/// try await withBroker(clock: .manual) { broker in
///     let producer = try broker.producer()
///     try await producer.publish("later".utf8, to: "mails", after: .seconds(3600))
///     let recording = try await broker.record("mails")
///     await broker.advance(by: .seconds(3600))
///     #expect(try await recording.next() == [Array("later".utf8)])
/// }
/// ```
///
/// - Parameters:
///   - configuration: the configuration of the broker; by default, it logs errors only.
///   - clock: the clock of the broker and of its clients.
///   - body: the test.
/// - Returns: the result of `body`.
/// - Throws: the error of `body`, or of the broker's start.
public func withBroker<Result>(
    _ configuration: EmbeddedBroker.Configuration? = nil, clock: TestBroker.Clock = .system,
    _ body: (TestBroker) async throws -> Result
) async throws -> Result {
    let broker = try await TestBroker(configuration ?? .quiet, clock: clock)
    do {
        let result = try await body(broker)
        await broker.tearDown()
        return result
    } catch {
        await broker.tearDown()
        throw error
    }
}

extension EmbeddedBroker.Configuration {
    /// The default configuration, with a logger that logs errors only.
    static var quiet: Self {
        var configuration = Self()
        configuration.logger = Logger(quiet: "nsqd")
        return configuration
    }
}
