import NSQBroker
import TestKit
import TestTraits
import Testing
import UVLoop

/// NSQ documentation, “nsqd”, Auth. The status 403 tells nsqd to repeat the request over TLS. The JSON
/// of the answer names the port.
@Suite(.blocking) struct `An authorization server that answers 403` {
    let certificates: TestCertificates
    let server: BlockingListener
    let secureServer: BlockingListener

    init() throws {
        certificates = try TestCertificates()
        server = try BlockingListener()
        secureServer = try BlockingListener()
    }

    private func start(trusting authority: String) async throws -> HTTPProbe {
        var options = ServerOptions()
        options.auth.httpAddresses = [server.address]
        options.tls.rootCAFile = authority
        return try await HTTPProbe.start { $0 = options }
    }

    /// Accepts a request and responds that TLS is required.
    ///
    /// - Returns: the first line of the request.
    private func refuse(_ answer: String? = nil) throws -> String? {
        let call = try server.accept()
        let request = call.receiveRequest()
        call.respond(answer ?? notice(of: secureServer), status: 403)
        return request.head.first
    }

    /// The response with which nsqd itself demands TLS.
    private func notice(of server: BlockingListener) -> String {
        #"{"message": "TLS_REQUIRED", "https_port": \#(server.port)}"#
    }

    @Test func `receives the same request over TLS at the port of its response`() async throws {
        let nsqd = try await start(trusting: certificates.authority)
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "a secret&more")
        let plainRequest = try refuse()
        let call = try SecuredCall(on: secureServer.accept(), as: certificates.server)
        let request = try call.receiveRequest()
        #expect(
            request.first
                == "GET /auth?common_name=&remote_ip=127.0.0.1&secret=a+secret%26more&tls=false HTTP/1.1"
        )
        #expect(request.first == plainRequest)
        #expect(request.contains("Host: \(secureServer.address)"))
        #expect(request.contains("Accept: application/vnd.nsq; version=1.0"))
        call.respond(
            #"{"ttl":60,"identity":"amy","authorizations":[{"topic":"plays","channels":[".*"],"#
                + #""permissions":["publish"]}]}"#)
        #expect(
            client.response() == #"{"identity":"amy","identity_url":"","permission_count":1}"#)
        client.tell("PUB plays", body: "play")
        #expect(client.response() == "OK")
        await nsqd.stop()
    }

    @Test func `does not receive the secret over TLS if its certificate is not trusted`()
        async throws
    {
        let nsqd = try await start(trusting: certificates.stranger.certificate)
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "secret")
        _ = try refuse()
        let socket = try secureServer.accept()
        #expect(throws: (any Error).self) {
            try SecuredCall(on: socket, as: certificates.server).receiveRequest()
        }
        #expect(client.response() == "E_AUTH_FAILED AUTH failed")
        #expect(client.socket.receiveAll() == [])
        await nsqd.stop()
    }

    @Test func `refuses the client if it responds 403 over TLS, too`() async throws {
        let nsqd = try await start(trusting: certificates.authority)
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "secret")
        _ = try refuse()
        let call = try SecuredCall(on: secureServer.accept(), as: certificates.server)
        _ = try call.receiveRequest()
        call.respond(notice(of: secureServer), status: 403)
        #expect(client.response() == "E_AUTH_FAILED AUTH failed")
        #expect(
            !server.hasConnection && !secureServer.hasConnection,
            "the broker sends no third request")
        await nsqd.stop()
    }

    /// `PORT` is replaced by the port of a listening server.
    @Test(arguments: [
        "", "{}", "PORT", #"{"https_port":0}"#, #"{"https_port":65536}"#,
        #"{"https_port":"PORT"}"#, #"[{"https_port":PORT}]"#, #"{"here":{"https_port":PORT}}"#,
        #"see "https_port": PORT"#,
    ])
    func `refuses the client if its response contains no port`(answer: String) async throws {
        let nsqd = try await start(trusting: certificates.authority)
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "secret")
        _ = try refuse(answer.replacing("PORT", with: "\(secureServer.port)"))
        #expect(client.response() == "E_AUTH_FAILED AUTH failed")
        #expect(client.socket.receiveAll() == [])
        #expect(!secureServer.hasConnection)
        await nsqd.stop()
    }
}
