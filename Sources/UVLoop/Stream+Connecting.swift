import CLibuv

extension Stream {
    /// Connects, trying one after the other the addresses a name stands for.
    ///
    /// `done` runs once, on a later turn, with the connection or with what the last address failed
    /// with. There is no time limit but the kernel's: set a timer and `cancel()`.
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

/// A connection that is coming about.
package final class Connecting {
    private let loop: Loop
    private var done: ((Result<Stream, UVError>) -> Void)?
    private var addresses: ArraySlice<NumericAddress> = []
    private var attempt: Stream?
    private var lookup: NameLookup?

    init(on loop: Loop, _ done: @escaping (Result<Stream, UVError>) -> Void) {
        self.loop = loop
        self.done = done
    }

    /// Gives up. `done` is not called any more.
    package func cancel() {
        done = nil
        addresses = []
        lookup?.cancel()
        lookup = nil
        attempt?.close()
        attempt = nil
    }

    func start(_ address: SocketAddress) {
        let host = address.host.isEmpty ? "127.0.0.1" : address.host
        if let numeric = NumericAddress(host: host, port: address.port) {
            addresses = [numeric]
            return tryNext(after: .canceled)
        }
        let lookup = NameLookup { result in
            self.lookup = nil
            switch result {
            case .success(let found):
                self.addresses = found[...]
                self.tryNext(after: UVError(UV_EAI_NONAME))
            case .failure(let error):
                self.finish(.failure(error))
            }
        }
        self.lookup = lookup
        do throws(UVError) {
            try lookup.start(SocketAddress(host: host, port: address.port), on: loop)
        } catch {
            self.lookup = nil
            failLater(error)
        }
    }

    private func tryNext(after failure: UVError) {
        guard done != nil else { return }
        guard let address = addresses.popFirst() else { return finish(.failure(failure)) }
        let stream: Stream
        do throws(UVError) {
            stream = try Stream(on: loop)
        } catch {
            return failLater(error)
        }
        attempt = stream
        let request = Request(uv_connect_t.self) { error in self.attempted(stream, error) }
        let status = address.withPointer { address in
            uv_tcp_connect(request.start(), stream.pointer(as: uv_tcp_t.self), address) {
                Request<uv_connect_t>.finish($0, status: $1)
            }
        }
        if status < 0 { Request.finish(request.memory, status: status) }
    }

    /// A failure goes on only when the failed handle has closed, and so never inside `connect`.
    private func attempted(_ stream: Stream, _ error: UVError?) {
        guard done != nil else { return }
        attempt = nil
        if let error {
            stream.close { self.tryNext(after: error) }
        } else {
            stream.connected()
            finish(.success(stream))
        }
    }

    private func failLater(_ error: UVError) {
        loop.inNextTurn { self.finish(.failure(error)) }
    }

    private func finish(_ result: Result<Stream, UVError>) {
        let done = done
        self.done = nil
        done?(result)
    }
}
