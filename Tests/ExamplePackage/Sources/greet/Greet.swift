import Greeter
import NSQBroker
import NSQClient

@main struct Greet {
    static func main() async throws {
        let broker = try await EmbeddedBroker.start()
        let greeter = try Greeter(nsqd: broker.tcpAddress)
        let run = Task { try await greeter.run() }

        let producer = try Producer(nsqd: broker.tcpAddress)
        for name in ["Ada", "Grace"] {
            try await producer.publish(name, to: "signups")
        }

        let greetings = try Consumer(
            topic: "greetings", channel: "printer", nsqds: [broker.tcpAddress])
        for _ in 0..<2 {
            guard let greeting = try await greetings.next() else { break }
            print(String(decoding: greeting.body, as: UTF8.self))
            greeting.finish()
        }

        await greetings.stop()
        await greeter.stop()
        try await run.value
        await producer.stop()
        await broker.stop()
    }
}
