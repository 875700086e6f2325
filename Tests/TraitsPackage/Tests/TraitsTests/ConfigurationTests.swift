import Configuration
import NSQClient
import Testing

@Suite struct `Options that are read with swift-configuration` {
    private func reader(_ values: [AbsoluteConfigKey: ConfigValue]) -> ConfigReader {
        ConfigReader(provider: InMemoryProvider(values: values))
    }

    @Test func `have the defaults without values`() throws {
        let options = try Consumer.Options(reader([:]))
        let defaults = Consumer.Options()
        #expect(options.maxInFlight == defaults.maxInFlight)
        #expect(options.messageTimeout == nil)
        #expect(options.client.heartbeatInterval == defaults.client.heartbeatInterval)
        #expect(options.lookup.jitter == defaults.lookup.jitter)
        #expect(try Producer.Options(reader([:])).window == Producer.Options().window)
    }

    @Test func `have the values of their keys`() throws {
        let config = reader([
            "nsq.maxInFlight": 7, "nsq.messageTimeout": 2.5, "nsq.compression": "deflate",
            "nsq.deflateLevel": 3, "nsq.authSecret": "secret", "nsq.ioThread": "own",
            "nsq.backoffScope": "nsqd", "nsq.lookup.jitter": 0.5,
            "nsq.distribution": "roundRobin",
        ])
        let options = try Consumer.Options(config.scoped(to: "nsq"))
        #expect(options.maxInFlight == 7)
        #expect(options.messageTimeout == .milliseconds(2_500))
        #expect(options.client.compression == .deflate(level: 3))
        #expect(options.client.authSecret == "secret")
        #expect(options.client.ioThread == .own)
        #expect(options.backoffScope == .nsqd)
        #expect(options.lookup.jitter == 0.5)
        #expect(try Producer.Options(config.scoped(to: "nsq")).distribution == .roundRobin)
    }

    @Test func `are refused with an unknown name or an unreadable file`() throws {
        let unknown = #expect(throws: NSQError.self) {
            try ClientOptions(reader(["compression": "zip"]))
        }
        #expect(unknown?.code == .invalidOption)
        #expect(unknown?.description.contains("deflate, none, snappy") == true)
        let unreadable = #expect(throws: NSQError.self) {
            try ClientOptions(reader(["tls.enabled": true, "tls.authorityFile": "/no.pem"]))
        }
        #expect(unreadable?.description.contains("/no.pem") == true)
    }
}
