import CLibuv
import Glibc

/// A listening TCP or Unix-domain socket. Closing the listener removes the file of its Unix-domain
/// socket.
package final class Listener: Handle {
    /// The endpoint of the listening socket, with the port that the kernel assigned if port 0 was
    /// requested.
    package private(set) var endpoint: Endpoint

    private var onConnection: ((Stream) -> Void)?
    /// Limits the connections that are accepted in one loop iteration.
    private lazy var accepts = PerIterationQueue(on: loop, jobs: 64, time: .milliseconds(5))

    /// Binds to `endpoint` and listens. The kernel queues connections until the loop's next
    /// iteration.
    ///
    /// - Parameters:
    ///   - backlog: the maximum number of connections that the kernel queues until they are
    ///     accepted.
    ///   - onConnection: receives each accepted connection. By default the connection is closed;
    ///     ``accept(_:)`` sets another receiver.
    /// - Throws: `UVError`, such as `EADDRINUSE` or a failed name lookup. If a file exists at the
    ///   path of a Unix-domain socket, listening fails and the file stays, as in nsqd: another
    ///   process may use the socket.
    package init(
        on loop: Loop, at endpoint: Endpoint, backlog: Int = 1024,
        onConnection: @escaping (Stream) -> Void = { $0.close() }
    ) throws(UVError) {
        self.endpoint = endpoint
        self.onConnection = onConnection
        switch endpoint {
        case .tcp: try super.init(uv_tcp_t.self, on: loop) { uv_tcp_init($0, $1) }
        case .unix: try super.init(uv_pipe_t.self, on: loop) { uv_pipe_init($0, $1, 0) }
        }
        do throws(UVError) {
            switch endpoint {
            case .tcp(let address): try bind(to: address)
            case .unix(let path): try bind(to: path)
            }
            try listen(backlog: backlog)
        } catch {
            close()
            throw error
        }
    }

    /// Accepts the connections of a socket that another process has opened.
    ///
    /// Closing the listener closes this process's descriptor. The file of a Unix-domain socket stays,
    /// because it belongs to the other process.
    ///
    /// - Throws: `UVError` if the descriptor cannot be used.
    package init(on loop: Loop, inheriting socket: InheritedSocket) throws(UVError) {
        endpoint = socket.endpoint
        onConnection = { $0.close() }
        switch socket.endpoint {
        case .tcp: try super.init(uv_tcp_t.self, on: loop) { uv_tcp_init($0, $1) }
        case .unix: try super.init(uv_pipe_t.self, on: loop) { uv_pipe_init($0, $1, 0) }
        }
        do throws(UVError) {
            switch socket.endpoint {
            case .tcp:
                try UVError.check(uv_tcp_open(pointer(as: uv_tcp_t.self), socket.descriptor))
            case .unix:
                try UVError.check(uv_pipe_open(pointer(as: uv_pipe_t.self), socket.descriptor))
            }
            try listen(backlog: 1024)
        } catch {
            close()
            throw error
        }
    }

    /// Listens on a TCP address; with port 0 the kernel assigns a free port.
    package convenience init(
        on loop: Loop, host: String, port: Int, onConnection: @escaping (Stream) -> Void
    ) throws(UVError) {
        let host = host.isEmpty ? "0.0.0.0" : host
        try self.init(
            on: loop, at: .tcp(SocketAddress(host: host, port: port)), onConnection: onConnection)
    }

    /// Sets the receiver of each connection that is accepted from now on.
    package func accept(_ onConnection: @escaping (Stream) -> Void) {
        self.onConnection = onConnection
    }

    /// The TCP address of the listening socket.
    ///
    /// - Precondition: the listener is not a Unix-domain socket.
    package var address: SocketAddress {
        guard let address = endpoint.tcpAddress else {
            preconditionFailure("a Unix-domain socket has a path and no address")
        }
        return address
    }

    /// Binds to an address. As in Go, an empty host and 0.0.0.0 mean all interfaces with IPv4 and
    /// IPv6, and a name means its first IPv4 address.
    private func bind(to address: SocketAddress) throws(UVError) {
        if Self.wildcards.contains(address.host) {
            // The kernel accepts IPv4 connections on the IPv6 wildcard address, too.
            guard let all = NumericAddress(host: "::", port: address.port) else { return }
            do throws(UVError) { return try bind(to: all) } catch {
                guard error == .addressFamilyNotSupported else { throw error }
            }
        }
        let host = address.host.isEmpty ? "0.0.0.0" : address.host
        var numeric = NumericAddress(host: host, port: address.port)
        if numeric == nil {
            let found = try NameLookup.blockingResult(for: address, on: loop)
            numeric = found.first(where: \.isIPv4) ?? found.first
        }
        guard let numeric else { throw UVError(UV_EADDRNOTAVAIL) }
        try bind(to: numeric)
    }

    private static let wildcards: Set = ["", "0.0.0.0"]

    private func bind(to address: NumericAddress) throws(UVError) {
        let tcp = pointer(as: uv_tcp_t.self)
        try UVError.check(address.withPointer { uv_tcp_bind(tcp, $0, 0) })
    }

    private func bind(to path: String) throws(UVError) {
        // libuv would truncate a longer path and listen on the truncated path.
        guard path.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else {
            throw UVError(UV_ENAMETOOLONG)
        }
        let status = uv_pipe_bind(pointer(as: uv_pipe_t.self), path)
        // libuv reports EACCES for a missing folder, as on Windows.
        if status == UV_EACCES.rawValue, !Self.folderExists(of: path) { throw UVError(UV_ENOENT) }
        try UVError.check(status)
        // Only the file's owner may connect. No client can connect between `bind` and `listen`, so
        // the permissions apply to every connection.
        chmod(path, 0o600)
    }

    private static func folderExists(of path: String) -> Bool {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return true }
        return access(String(path[..<slash]), F_OK) == 0
    }

    private func listen(backlog: Int) throws(UVError) {
        // libuv delays the EADDRINUSE error of a TCP bind until `uv_listen`.
        try UVError.check(
            uv_listen(pointer(as: uv_stream_t.self), Int32(backlog)) { handle, status in
                // A negative status means that no file descriptors are left. libuv has then already
                // closed the connection, and continues to listen.
                if status == 0 { Listener.object(of: handle).acceptInPortion() }
            })
        guard case .tcp = endpoint else { return }
        let tcp = pointer(as: uv_tcp_t.self)
        if let bound = NumericAddress(readBy: { uv_tcp_getsockname(tcp, $0, $1) }) {
            endpoint = .tcp(bound.socketAddress)
        }
    }

    override func releaseCallbacks() {
        onConnection = nil
    }

    /// Accepts a connection now or, if many others have arrived, in a later loop iteration. Until
    /// then, libuv accepts no further connection of this listener.
    private func acceptInPortion() {
        accepts.submit { [weak self] in self?.accept() }
    }

    private func accept() {
        let isUnixSocket = endpoint.tcpAddress == nil
        guard !isClosing, let onConnection,
            let stream = try? Stream(on: loop, isUnixSocket: isUnixSocket)
        else { return }
        let status = uv_accept(
            pointer(as: uv_stream_t.self), stream.pointer(as: uv_stream_t.self))
        guard status == 0 else { return stream.close() }
        stream.readPeerAddress()
        onConnection(stream)
    }
}
