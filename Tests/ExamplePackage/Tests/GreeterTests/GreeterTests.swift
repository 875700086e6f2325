import Greeter
import NSQTesting
import Testing

@Test func `greets every user who signs up`() async throws {
    try await withBroker { broker in
        let greetings = try await broker.record("greetings")
        let greeter = try Greeter(nsqd: broker.tcpAddress)
        let run = Task { try await greeter.run() }

        try await broker.producer().publish("Ada", to: "signups")
        #expect(try await greetings.next() == [Array("Hello, Ada!".utf8)])

        await greeter.stop()
        try await run.value
    }
}
