import Foundation
import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `The configuration of an embedded broker` {
    private typealias Configuration = EmbeddedBroker.Configuration

    /// Returns the error with which a broker refuses to start.
    private func startError(
        _ change: (inout EmbeddedBroker.Configuration) -> Void
    ) async -> EmbeddedBroker.StartError? {
        var configuration = Configuration()
        change(&configuration)
        do throws(EmbeddedBroker.StartError) {
            let broker = try await EmbeddedBroker.start(configuration)
            await broker.stop()
            return nil
        } catch {
            return error
        }
    }

    @Test func `names the property that is out of its range`() async throws {
        let changes: [(String, (inout EmbeddedBroker.Configuration) -> Void)] = [
            ("messageTimeout", { $0.messageTimeout = .zero }),
            ("maxMessageTimeout", { $0.maxMessageTimeout = .zero }),
            ("maxRequeueDelay", { $0.maxRequeueDelay = .seconds(-1) }),
            ("maxMessageBytes", { $0.maxMessageBytes = 0 }),
            ("maxBodyBytes", { $0.maxBodyBytes = 8 }),
            ("maxMemoryBytes", { $0.maxMemoryBytes = 0 }),
            ("memoryQueueSize", { $0.memoryQueueSize = -1 }),
            ("maxDiskBytes", { $0.maxDiskBytes = 0 }),
            ("maxConnections", { $0.maxConnections = 0 }),
            ("maxReadyCount", { $0.maxReadyCount = 0 }),
            ("maxChannelConsumers", { $0.maxChannelConsumers = 0 }),
            ("maxTopics", { $0.maxTopics = -1 }),
            ("maxChannelsPerTopic", { $0.maxChannelsPerTopic = 0 }),
            ("maxHeartbeatInterval", { $0.maxHeartbeatInterval = .zero }),
            ("httpsAddress requires tls", { $0.httpsAddress = "127.0.0.1:0" }),
            ("lookupds requires httpAddress", { $0.lookupds = ["127.0.0.1:4160"] }),
        ]
        for (name, change) in changes {
            let error = await startError(change)
            #expect(error?.code == .invalidConfiguration, "\(name)")
            #expect(error?.reason.hasPrefix(name) == true, "\(error?.reason ?? "no error")")
            #expect(error?.address == nil)
        }
    }

    @Test func `has an error code for each cause of a failed start`() async throws {
        let broker = try await EmbeddedBroker.start()
        let used = await startError { $0.tcpAddress = broker.tcpAddress }
        #expect(used?.code == .addressInUse)
        #expect(used?.address == broker.tcpAddress)
        await broker.stop()
        #expect(await startError { $0.tcpAddress = "" }?.code == .invalidAddress)
        // 192.0.2.1 belongs to no host (RFC 5737).
        #expect(await startError { $0.httpAddress = "192.0.2.1:0" }?.code == .cannotListen)
        let tls = await startError {
            $0.tls = .init(certificateFile: "/no.pem", keyFile: "/no.key")
        }
        #expect(tls?.code == .unusableTLS)
        #expect(tls?.reason.contains("/no.pem") == true)
        #expect(await startError { $0.dataPath = "/nowhere/deep/down" }?.code == .unusableDataPath)
    }

    @Test func `limits topics and channels`() async throws {
        var configuration = Configuration()
        configuration.maxTopics = 1
        configuration.maxChannelsPerTopic = 1
        let broker = try await EmbeddedBroker.start(configuration)
        try await broker.createChannel("counts", of: "plays")
        try await broker.createChannel("counts", of: "plays")
        await #expect(throws: EmbeddedBroker.AdministrationError.tooMany) {
            try await broker.createChannel("totals", of: "plays")
        }
        await #expect(throws: EmbeddedBroker.AdministrationError.tooMany) {
            try await broker.createTopic("pauses")
        }
        await broker.stop()
    }

    @Test func `announces its limits and compressions to clients`() async throws {
        var configuration = Configuration()
        configuration.messageTimeout = .seconds(7)
        configuration.maxMessageTimeout = .seconds(70)
        configuration.maxReadyCount = 77
        configuration.allowsDeflate = false
        let broker = try await EmbeddedBroker.start(configuration)
        let client = try LayeredClient(broker.tcpAddress)
        var settings = Identify()
        settings.featureNegotiation = true
        settings.deflate = true
        let answer = try client.identify(settings)
        #expect(answer.messageTimeout == 7_000)
        #expect(answer.maxMessageTimeout == 70_000)
        #expect(answer.maxReadyCount == 77)
        #expect(!answer.deflate)
        await broker.stop()
    }

    @Test func `registers at nsqlookupds under the broadcast address`() async throws {
        let lookupd = try FakeLookupd()
        var configuration = Configuration()
        configuration.httpAddress = "127.0.0.1:0"
        configuration.lookupds = [lookupd.tcp.address.description]
        configuration.broadcastAddress = "here"
        let broker = try await EmbeddedBroker.start(configuration)
        let identity = try lookupd.greet(hasHTTP: false).identity
        #expect(identity["broadcast_address"] as? String == "here")
        await broker.stop()
    }

    @Test func `can require TLS for the TCP protocol, and serve HTTPS`() async throws {
        let certificates = try TestCertificates()
        var configuration = Configuration()
        configuration.tls = .init(
            certificateFile: certificates.server.certificate, keyFile: certificates.server.key)
        configuration.tls?.requirement = .exceptHTTP
        configuration.httpAddress = "127.0.0.1:0"
        configuration.httpsAddress = "127.0.0.1:0"
        let broker = try await EmbeddedBroker.start(configuration)
        #expect(broker.httpAddress?.hasSuffix(":0") == false)
        #expect(broker.httpsAddress?.hasSuffix(":0") == false)
        let client = try LayeredClient(broker.tcpAddress)
        try client.send("  V2PUB plays\n\0\0\0\u{4}play")
        #expect(try client.text().hasPrefix("E_INVALID"))
        await broker.stop()
    }

    @Test func `keeps messages in its data path`() async throws {
        let folder = try TemporaryFolder()
        var configuration = Configuration()
        configuration.dataPath = folder.url.path
        configuration.acknowledgement = .afterSync
        configuration.maxDiskBytes = 100 << 20
        let broker = try await EmbeddedBroker.start(configuration)
        let client = try LayeredClient(broker.tcpAddress)
        try client.send("  V2PUB plays\n\0\0\0\u{4}play")
        #expect(try client.text() == "OK")
        await broker.stop()
        let next = try await EmbeddedBroker.start(configuration)
        #expect(await next.statistics().unfinishedCount == 1)
        await next.stop()
    }
}

@Suite(.blocking, .timeLimit(.minutes(15))) struct `A graceful stop of an embedded broker` {
    private func broker(with messages: Int) async throws -> (EmbeddedBroker, LayeredClient) {
        let broker = try await EmbeddedBroker.start()
        try await broker.createChannel("counts", of: "plays")
        let client = try LayeredClient(broker.tcpAddress)
        try client.send("  V2")
        for _ in 0..<messages {
            try client.send("PUB plays\n\0\0\0\u{4}play")
            #expect(try client.text() == "OK")
        }
        return (broker, client)
    }

    @Test func `refuses publishes, and waits until consumers have finished all messages`()
        async throws
    {
        let (broker, client) = try await broker(with: 1)
        #expect(await broker.statistics().unfinishedCount == 1)
        let stop = Task { await broker.stop(drainingWithin: .seconds(600)) }
        var answer = "OK"
        while answer == "OK" {
            try client.send("PUB plays\n\0\0\0\u{4}more")
            answer = try client.text()
            // Lets the task that stops the broker run, which needs a thread of the same pool.
            await Task.yield()
        }
        #expect(answer == "E_PUB_FAILED PUB failed draining")
        let consumer = try LayeredClient(broker.tcpAddress)
        try consumer.send("  V2SUB plays counts\nRDY 1\n")
        #expect(try consumer.text() == "OK")
        var isOpen = true
        while isOpen {
            do {
                let data = try consumer.frame().data
                try consumer.send("FIN \(String(decoding: data[10..<26], as: UTF8.self))\n")
            } catch {
                isOpen = false
            }
        }
        #expect(await stop.value == 0)
    }

    @Test func `returns the number of unfinished messages after its timeout`() async throws {
        let (broker, _) = try await broker(with: 3)
        #expect(await broker.stop(drainingWithin: .milliseconds(1)) == 3)
    }

    @Test func `waits for an empty broker, up to a timeout`() async throws {
        let (broker, _) = try await broker(with: 2)
        #expect(await !broker.waitUntilEmpty(within: .milliseconds(1)))
        let wait = Task { await broker.waitUntilEmpty(within: .seconds(600)) }
        try await broker.emptyChannel("counts", of: "plays")
        #expect(await wait.value)
        let cancelled = Task { await broker.waitUntilEmpty(within: .seconds(600)) }
        cancelled.cancel()
        _ = await cancelled.value
        await broker.stop()
    }
}
