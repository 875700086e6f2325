import Transport
import UVLoop

/// A client's connection to a server, which sends requests and reads responses. With a TLS session,
/// the connection is encrypted.
final class HTTPClientConnection {
    /// An event of a connection.
    enum Event {
        /// The TCP connection is established.
        case connected
        /// The connection can send a request; for TLS, the handshake is complete.
        case ready
        /// A response is complete. If `isReusable` is `true`, the connection can send another
        /// request.
        case responded(HTTPClientResponse, isReusable: Bool)
        /// The connection is closed. `hasReceivedBytes` is `true` if a part of a response was
        /// received.
        case failed(HTTPClientError, hasReceivedBytes: Bool)
    }

    var onEvent: ((Event) -> Void)?

    private enum State {
        case connecting(Connecting?)
        case handshaking(HTTPOutput)
        case ready(HTTPOutput)
        case closed
    }

    private let loop: Loop
    private let layers: LayeredStream
    private let maxBodyBytes: Int
    private let truncatesLongBodies: Bool
    private let parser = HTTPParser(.responses)
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
    private var state = State.connecting(nil)
    private var response: HTTPClientResponse?
    private var isReusable = false
    private var progress = Progress.idle

    /// The progress of the response to the last request.
    private enum Progress {
        /// There is no request without a response.
        case idle
        /// A request was sent, and no byte of the response has arrived.
        case waiting
        case receiving
        /// The response is complete, and ``onEvent`` does not have it yet.
        case complete
    }

    init(on loop: Loop, tls: TLSSession?, maxBodyBytes: Int, truncatesLongBodies: Bool) {
        self.loop = loop
        self.maxBodyBytes = maxBodyBytes
        self.truncatesLongBodies = truncatesLongBodies
        layers = LayeredStream(tls: tls)
        parser.delegate = self
    }

    deinit { buffer.deallocate() }

    func connect(to address: SocketAddress) {
        let connecting = Stream.connect(to: address, on: loop) { [weak self] result in
            switch (result, self) {
            case (.success(let stream), let self?): self.open(on: stream)
            case (.success(let stream), nil): stream.close()
            case (.failure(let error), let self): self?.fail(.connectionFailed(error))
            }
        }
        state = .connecting(connecting)
    }

    /// Sends a request in wire format. The call has no effect before the event ``Event/ready``.
    func send(_ request: [UInt8]) {
        guard case .ready(let output) = state else { return }
        progress = .waiting
        output.append { $0 += request }
        flush(output)
    }

    /// Closes the connection, which emits no further event.
    func close() {
        onEvent = nil
        parser.pause()
        switch state {
        case .connecting(let connecting): connecting?.cancel()
        case .handshaking(let output), .ready(let output): output.stream.close()
        case .closed: break
        }
        state = .closed
    }

    private func open(on stream: Stream) {
        stream.setNoDelay(true)
        stream.reader = self
        stream.startReading()
        let output = HTTPOutput(to: stream, through: layers) { [weak self] error in
            guard let self else { return }
            if let error { return fail(.connectionFailed(error)) }
            if case .handshaking(let output) = state { flush(output) }
            if case .ready(let output) = state { flush(output) }
        }
        state = .handshaking(output)
        onEvent?(.connected)
        // An empty input starts the TLS handshake.
        receive(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    private func flush(_ output: HTTPOutput) {
        if case .failed(let error) = output.flush() { fail(.connectionFailed(error)) }
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) {
        do throws(TransportError) {
            try layers.receive(bytes)
        } catch {
            // The flush sends the TLS alert to the server.
            if case .handshaking(let output) = state { _ = output.flush() }
            return fail(.tlsFailed(error))
        }
        if case .handshaking(let output) = state {
            flush(output)
            guard case .handshaking = state, layers.isEstablished else { return }
            state = .ready(output)
            onEvent?(.ready)
        }
        parse()
        if layers.hasEnded { end() }
    }

    private func parse() {
        let plain = layers.plain
        guard case .ready = state, !plain.isEmpty else { return }
        // Bytes that arrive without a request are not the response to the next request.
        guard progress != .idle else { return fail(.malformedResponse) }
        progress = .receiving
        do throws(HTTPParserError) {
            let parsed = try parser.parse(plain.bytes)
            // Bytes that follow the response are not the response to the next request.
            if parsed < plain.bytes.count { isReusable = false }
            plain.clear()
        } catch {
            return fail(.malformedResponse)
        }
        deliverIfComplete()
        // TLS may have written a reply to a received record.
        if case .ready(let output) = state { flush(output) }
    }

    /// Handles the end of the server's output, which completes a response without a length.
    private func end() {
        if progress == .receiving { try? parser.finish() }
        isReusable = false
        deliverIfComplete()
        fail(.malformedResponse)
    }

    private func fail(_ error: HTTPClientError) {
        if case .closed = state { return }
        let onEvent = onEvent
        close()
        onEvent?(.failed(error, hasReceivedBytes: progress == .receiving))
    }
}

extension HTTPClientConnection: StreamReader {
    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) { receive(bytes) }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        if let error { fail(.connectionFailed(error)) } else { end() }
    }
}

extension HTTPClientConnection: HTTPParserDelegate {
    func parserDidRead(_ head: HTTPHead) {
        // 101 answers a request for another protocol, which this client never sends.
        guard 100..<600 ~= head.status, head.status != 101 else { return fail(.malformedResponse) }
        response = HTTPClientResponse(status: head.status, headers: head.headers, body: [])
        isReusable = head.keepsAlive
        if case .bytes(let count) = head.bodyLength, count > maxBodyBytes, !truncatesLongBodies {
            fail(.responseTooLarge(limit: maxBodyBytes))
        }
    }

    func parserDidRead(body bytes: UnsafeRawBufferPointer) {
        guard let body = response?.body, body.count + bytes.count > maxBodyBytes else {
            response?.body += bytes
            return
        }
        guard truncatesLongBodies else { return fail(.responseTooLarge(limit: maxBodyBytes)) }
        isReusable = false
        complete()
    }

    func parserDidReadMessage() {
        // An interim response (1xx) precedes the final one.
        if let response, response.status >= 200 { complete() }
    }

    /// Stops parsing. The response is delivered when the parser has returned, because the owner may
    /// send the next request at once.
    private func complete() {
        guard progress == .receiving else { return }
        progress = .complete
        parser.pause()
    }

    private func deliverIfComplete() {
        guard progress == .complete, let response else { return }
        self.response = nil
        progress = .idle
        parser.resume()
        onEvent?(.responded(response, isReusable: isReusable))
    }
}
