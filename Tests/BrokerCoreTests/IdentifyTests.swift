import BrokerCore
import NSQWire
import Testing

@Suite struct `IDENTIFY` {
    let broker = TestBroker()

    @Test func `returns OK without feature negotiation`() {
        let client = broker.client()
        client.identify(Identify())
        client.send(.identify, body: Array("null".utf8))
        #expect(client.take() == [.ok, .ok])
    }

    @Test func `returns the negotiated settings in nsqd's order`() {
        let client = broker.client()
        var request = Identify()
        request.featureNegotiation = true
        client.identify(request)
        let defaults =
            #"{"max_rdy_count":2500,"version":"1.3.0","max_msg_timeout":900000,"#
            + #""msg_timeout":60000,"tls_v1":false,"deflate":false,"deflate_level":6,"#
            + #""max_deflate_level":6,"snappy":false,"sample_rate":0,"auth_required":false,"#
            + #""output_buffer_size":16384,"output_buffer_timeout":250,"topology_region":"","#
            + #""topology_zone":""}"#
        #expect(client.take() == [.response(defaults)])
    }

    @Test func `applies the requested settings`() throws {
        let client = broker.client()
        var request = Identify()
        request.featureNegotiation = true
        request.clientID = "me"
        request.hostname = "here"
        request.userAgent = "test/1"
        request.messageTimeout = 1_000
        request.sampleRate = 99
        request.outputBufferSize = 64
        request.outputBufferTimeout = 30_000
        request.topologyZone = "z"
        request.topologyRegion = "r"
        client.identify(request)
        let answer = try #require(client.takeAnswer())
        #expect(answer.messageTimeout == 1_000)
        #expect(answer.sampleRate == 99)
        #expect(answer.outputBufferSize == 64)
        #expect(answer.outputBufferTimeout == 30_000)
        #expect(answer.topologyZone == "z")
        #expect(answer.topologyRegion == "r")

        client.send(.subscribe(.plays, .count))
        let statistics = try #require(broker.channel()?.clients.first)
        #expect(statistics.clientID == "me")
        #expect(statistics.hostname == "here")
        #expect(statistics.userAgent == "test/1")
        #expect(statistics.sampleRate == 99)
    }

    @Test func `without output buffering returns a buffer size of 1 and no timeout`() throws {
        let client = broker.client()
        var request = Identify()
        request.featureNegotiation = true
        request.outputBufferSize = -1
        client.identify(request)
        let answer = try #require(client.takeAnswer())
        #expect(answer.outputBufferSize == 1)
        #expect(answer.outputBufferTimeout == 0)
    }

    @Test func `keeps the address as the name of a client that sends no name`() throws {
        let client = broker.consumer()
        let statistics = try #require(broker.channel()?.clients.first)
        #expect(statistics.clientID == "10.0.0.1")
        #expect(statistics.hostname == "10.0.0.1")
        #expect(statistics.address == "10.0.0.1:5000")
        withExtendedLifetime(client) {}
    }

    @Test(arguments: [
        (#"{"heartbeat_interval":999}"#, "heartbeat interval (999)"),
        (#"{"heartbeat_interval":60001}"#, "heartbeat interval (60001)"),
        (#"{"heartbeat_interval":-2}"#, "heartbeat interval (-2)"),
        (
            #"{"heartbeat_interval":9223372036854775807}"#,
            "heartbeat interval (9223372036854775807)"
        ),
        (#"{"output_buffer_size":63}"#, "output buffer size (63)"),
        (#"{"output_buffer_size":65537}"#, "output buffer size (65537)"),
        (#"{"output_buffer_timeout":24}"#, "output buffer timeout (24)"),
        (#"{"output_buffer_timeout":30001}"#, "output buffer timeout (30001)"),
        (#"{"sample_rate":100}"#, "sample rate (100)"),
        (#"{"sample_rate":-1}"#, "sample rate (-1)"),
        (#"{"msg_timeout":999}"#, "msg timeout (999)"),
        (#"{"msg_timeout":900001}"#, "msg timeout (900001)"),
        (#"{"msg_timeout":-1}"#, "msg timeout (-1)"),
        (
            #"{"msg_timeout":1,"sample_rate":100,"output_buffer_size":1,"#
                + #""output_buffer_timeout":1,"heartbeat_interval":1}"#,
            "heartbeat interval (1)"
        ),
        (
            #"{"msg_timeout":1,"sample_rate":100,"output_buffer_size":1,"#
                + #""output_buffer_timeout":1}"#,
            "output buffer timeout (1)"
        ),
        (
            #"{"msg_timeout":1,"sample_rate":100,"output_buffer_size":1}"#,
            "output buffer size (1)"
        ),
        (#"{"msg_timeout":1,"sample_rate":100}"#, "sample rate (100)"),
    ])
    func `refuses the first value out of range in nsqd's order`(json: String, what: String) {
        let client = broker.client()
        client.send(.identify, body: Array(json.utf8))
        #expect(client.take() == [.error("E_BAD_BODY IDENTIFY \(what) is invalid")])
        #expect(client.isDisconnected)
    }

    @Test(arguments: ["[]", "{", "x", "3", #"{"msg_timeout":"1000"}"#, #"{"sample_rate":1.5}"#])
    func `refuses JSON that is not an object or has values of the wrong type`(json: String) {
        let client = broker.client()
        client.send(.identify, body: Array(json.utf8))
        #expect(client.take() == [.error("E_BAD_BODY IDENTIFY failed to decode JSON body")])
        #expect(client.isDisconnected)
    }

    @Test func `can be sent twice, and after a PUB`() {
        let client = broker.client()
        client.identify(Identify())
        client.publish("play")
        client.identify(Identify())
        #expect(client.take() == [.ok, .ok, .ok])
    }
}

extension TestClient {
    fileprivate func takeAnswer() -> IdentifyResponse? {
        guard case .response(let json) = take().last else { return nil }
        return Array(json.utf8).withUnsafeBytes { IdentifyResponse(parsing: $0) }
    }
}
