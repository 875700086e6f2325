import Transport
import UVLoop

/// A client's requests to one server, one at a time, over a connection that is kept from one to the
/// next, and over TLS if there is a context for it.
///
/// A server may close a kept connection at any time, even while a request is on its way. Such a
/// request is made once more over a new connection: it has to bear being made twice.
package final class HTTPSession {
    package typealias Completion = (Result<Int, HTTPClientError>) -> Void

    /// For the connection to come about, TLS included.
    package var connectTimeout = Duration.seconds(5)
    /// From the request to the last byte of the answer.
    package var requestTimeout = Duration.seconds(10)

    private let loop: Loop
    private let address: SocketAddress
    private let tls: TLSContext?
    private let timer: Timer
    private var link: HTTPLink?
    /// Whether the link has answered before.
    private var isKept = false
    private var underWay: (request: [UInt8], done: Completion)?

    package init(with address: SocketAddress, tls: TLSContext? = nil, on loop: Loop) {
        self.address = address
        self.tls = tls
        self.loop = loop
        timer = Timer(on: loop)
    }

    /// Posts `body`, and answers with the status, whatever it is; redirections are not followed.
    /// What comes with the status is read over.
    ///
    /// - Parameter done: is called once, on a later turn. Post the next one then.
    package func post(
        _ url: HTTPURL, headers: [(name: String, value: String)] = [], body: [UInt8],
        _ done: @escaping Completion
    ) {
        precondition(underWay == nil, "one request is under way at a time")
        var head = "POST \(url.target) HTTP/1.1\r\nHost: \(url.host)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        let request = Array((head + "Content-Length: \(body.count)\r\n\r\n").utf8) + body
        underWay = (request, done)
        if link?.isReady == true { send() } else { connect() }
    }

    /// Closes the connection. The request under way gets no answer.
    package func close() {
        underWay = nil
        drop()
        timer.close()
    }

    private func connect() {
        drop()
        timer.start(after: connectTimeout) { [weak self] in self?.fail(.connectTimedOut) }
        let link = HTTPLink(
            on: loop, tls: tls.map { TLSSession($0, serverName: address.host) }, owner: self)
        self.link = link
        link.start(to: address)
    }

    private func send() {
        guard let underWay else { return }
        timer.start(after: requestTimeout) { [weak self] in self?.fail(.requestTimedOut) }
        link?.send(underWay.request)
    }

    private func fail(_ error: HTTPClientError) {
        drop()
        finish(.failure(error))
    }

    private func drop() {
        link?.close()
        link = nil
        isKept = false
    }

    private func finish(_ result: Result<Int, HTTPClientError>) {
        timer.stop()
        let done = underWay?.done
        underWay = nil
        done?(result)
    }
}

extension HTTPSession: HTTPLinkOwner {
    func linkIsReady() {
        send()
    }

    func linkAnswered(status: Int, isKept: Bool) {
        if isKept { self.isKept = true } else { drop() }
        finish(.success(status))
    }

    func linkEnded(_ error: HTTPClientError, hasAnswered: Bool) {
        let wasKept = isKept
        drop()
        guard underWay != nil else { return }
        if wasKept, !hasAnswered { connect() } else { finish(.failure(error)) }
    }
}
