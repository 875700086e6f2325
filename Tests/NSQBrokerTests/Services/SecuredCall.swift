import Glibc
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

    func answer(_ body: String, status: Int = 200) {
        let head = "HTTP/1.1 \(status) Whatever\r\nContent-Length: \(body.utf8.count)\r\n"
        Array((head + "Connection: close\r\n\r\n" + body).utf8).withUnsafeBytes { layers.send($0) }
        layers.flush()
        sendWire()
    }

    private var text: String { String(decoding: layers.plain.bytes, as: UTF8.self) }

    private func receive() throws {
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count = repeatingInterrupted { recv(socket.descriptor, &bytes, bytes.count, 0) }
        guard count > 0 else { throw Ended() }
        try bytes[..<count].withUnsafeBytes { try layers.receive($0) }
        sendWire()
    }

    private func sendWire() {
        socket.send(Array(layers.wire.bytes))
        layers.wire.clear()
    }
}
