import GoFlags
import NSQClient
import TallyBasics
import Testing

@testable import NSQTools

@Suite struct `The client options of NSQ's tools` {
    private func settings(_ texts: String...) throws -> GoNSQOptions {
        var settings = GoNSQOptions()
        for text in texts { try settings.parse(text) }
        return settings
    }

    @Test func `have the names of go-nsq`() throws {
        let settings = try settings(
            "max_in_flight,7", "msg_timeout,5s", "snappy", "client_id,me", "sample_rate,10",
            "lookupd_poll_interval,500", "heartbeat_interval,10s", "auth_secret,a,b",
            "max_attempts,9", "output_buffer_size,128", "read_timeout,1s")
        let options = try settings.consumerOptions(maxInFlight: 200)
        #expect(options.maxInFlight == 7)
        #expect(options.messageTimeout == .seconds(5))
        #expect(options.client.compression == .snappy)
        #expect(options.client.clientID == "me")
        #expect(options.client.authSecret == "a,b")
        #expect(options.samplePercent == 10)
        #expect(options.lookup.pollInterval == .milliseconds(500))
        #expect(options.client.heartbeatInterval == .seconds(10))
        #expect(options.outputBufferBytes == 128)
        #expect(settings.retry.maxAttempts == 9)
    }

    @Test func `leave the tool's number of messages in flight by default`() throws {
        #expect(try settings().consumerOptions(maxInFlight: 200).maxInFlight == 200)
    }

    @Test func `use TLS only if it is enabled`() throws {
        let off = try settings("tls_insecure_skip_verify,true").producerOptions()
        #expect(off.client.tls == nil)
        let on = try settings("tls_v1", "tls_insecure_skip_verify", "tls_min_version,tls1.0")
        #expect(try on.producerOptions().client.tls != nil)
        let missing = try settings("tls_v1,true", "tls_root_ca_file,/no/such")
        #expect(throws: NSQError.self) { try missing.producerOptions() }
    }

    @Test(arguments: [
        ("nope,1", "invalid option nope"), ("max_in_flight,x", "parse error"),
        ("msg_timeout,x", "parse error"), ("snappy,perhaps", "parse error"),
        ("tls_min_version,1", "parse error"), ("", "invalid option "),
    ])
    func `refuse an unknown name and a malformed value`(text: String, reason: String) {
        var settings = GoNSQOptions()
        let error = #expect(throws: BadValue.self) { try settings.parse(text) }
        #expect(error?.description == reason)
    }
}
