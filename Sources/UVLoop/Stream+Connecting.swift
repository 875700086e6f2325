import CLibuv

extension Stream {
    /// Connects to `address`. If the host is a name, the stream tries its resolved addresses one
    /// after the other.
    ///
    /// The only timeout is the kernel's; for a shorter one, start a timer and call
    /// ``Connecting/cancel()``.
    ///
    /// - Parameter done: runs once, in a later loop iteration, with the connection or with the
    ///   error of the last address tried.
    /// - Returns: the connection attempt, which can be cancelled.
    @discardableResult
    package static func connect(
        to address: SocketAddress, on loop: Loop,
        _ done: @escaping (Result<Stream, UVError>) -> Void
    ) -> Connecting {
        let connecting = Connecting(on: loop, done)
        connecting.start(address)
        return connecting
    }
}

/// A connection attempt.
package final class Connecting {
    private let loop: Loop
    private var done: ((Result<Stream, UVError>) -> Void)?
    private var addresses: ArraySlice<NumericAddress> = []
    private var stream: Stream?
    private var lookup: NameLookup?

    init(on loop: Loop, _ done: @escaping (Result<Stream, UVError>) -> Void) {
        self.loop = loop
        self.done = done
    }

    /// Ends the attempt without calling its callback.
    package func cancel() {
        done = nil
        addresses = []
        lookup?.cancel()
        lookup = nil
        stream?.close()
        stream = nil
    }

    func start(_ address: SocketAddress) {
        let host = address.host.isEmpty ? "127.0.0.1" : address.host
        if let numeric = NumericAddress(host: host, port: address.port) {
            addresses = [numeric]
            return tryNextAddress(after: .canceled)
        }
        let lookup = NameLookup { result in
            self.lookup = nil
            switch result {
            case .success(let found):
                self.addresses = found[...]
                self.tryNextAddress(after: UVError(UV_EAI_NONAME))
            case .failure(let error):
                self.finish(.failure(error))
            }
        }
        self.lookup = lookup
        do throws(UVError) {
            try lookup.start(SocketAddress(host: host, port: address.port), on: loop)
        } catch {
            self.lookup = nil
            failInNextIteration(error)
        }
    }

    private func tryNextAddress(after failure: UVError) {
        guard done != nil else { return }
        guard let address = addresses.popFirst() else { return finish(.failure(failure)) }
        let stream: Stream
        do throws(UVError) {
            stream = try Stream(on: loop)
        } catch {
            return failInNextIteration(error)
        }
        self.stream = stream
        let request = Request(uv_connect_t.self) { error in self.finishAttempt(stream, error) }
        let status = address.withPointer { address in
            uv_tcp_connect(request.start(), stream.pointer(as: uv_tcp_t.self), address) {
                Request<uv_connect_t>.finish($0, status: $1)
            }
        }
        if status < 0 { Request.finish(request.memory, status: status) }
    }

    /// Completes the attempt at one address. After a failure, the next address is tried when the
    /// failed handle has closed, so `done` never runs during `connect`.
    private func finishAttempt(_ stream: Stream, _ error: UVError?) {
        guard done != nil else { return }
        self.stream = nil
        if let error {
            stream.close { self.tryNextAddress(after: error) }
        } else {
            stream.readPeerAddress()
            finish(.success(stream))
        }
    }

    private func failInNextIteration(_ error: UVError) {
        loop.runInNextIteration { self.finish(.failure(error)) }
    }

    private func finish(_ result: Result<Stream, UVError>) {
        let done = done
        self.done = nil
        done?(result)
    }
}
