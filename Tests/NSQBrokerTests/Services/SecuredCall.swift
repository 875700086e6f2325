import TestKit
import Transport

/// The server side of an HTTPS connection with one request.
final class SecuredCall {
    private let socket: BlockingSocket
    private let layers: LayeredStream

    struct Ended: Error {}

    /// Performs the handshake with a certificate.
    ///
    /// - Throws: an error if the peer does not trust the certificate.
    init(on socket: BlockingSocket, as identity: TestCertificates.Identity) throws {
        self.socket = socket
        let options = TLSServerOptions(
            certificateFile: identity.certificate, keyFile: identity.key)
        layers = LayeredStream(tls: TLSSession(try TLSContext(server: options)))
        while !layers.isEstablished { try receive() }
    }

    /// Receives the lines of a request's head; the request has no body.
    func receiveRequest() throws -> [String] {
        while !text.hasSuffix("\r\n\r\n") { try receive() }
        return text.split(separator: "\r\n").map(String.init)
    }

    func respond(_ body: String, status: Int = 200) {
        let response = BlockingSocket.response(body, status: status)
        Array(response.utf8).withUnsafeBytes { layers.send($0) }
        layers.flush()
        sendWire()
    }

    private var text: String { String(decoding: layers.plain.bytes, as: UTF8.self) }

    private func receive() throws {
        let bytes = socket.receive(atMost: 16 << 10)
        guard !bytes.isEmpty else { throw Ended() }
        try bytes.withUnsafeBytes { try layers.receive($0) }
        sendWire()
    }

    private func sendWire() {
        socket.send(layers.wire.bytes)
        layers.wire.clear()
    }
}
