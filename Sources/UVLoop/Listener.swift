import CLibuv
import Glibc

/// A listening socket: TCP's, or a Unix-domain one, whose file goes when it is closed.
package final class Listener: Handle {
    /// Where it listens, with the port the kernel chose if 0 was asked for.
    package private(set) var endpoint: Endpoint

    private var onConnection: ((Stream) -> Void)?

    /// - Throws: `EADDRINUSE` and the like, or what looking the host up failed with. A file that
    ///   is in the way of a path is left there, as nsqd leaves it: it may be somebody's.
    package init(
        on loop: Loop, at endpoint: Endpoint, backlog: Int = 1024,
        onConnection: @escaping (Stream) -> Void
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

    package convenience init(
        on loop: Loop, host: String, port: Int, onConnection: @escaping (Stream) -> Void
    ) throws(UVError) {
        let host = host.isEmpty ? "0.0.0.0" : host
        try self.init(
            on: loop, at: .tcp(SocketAddress(host: host, port: port)), onConnection: onConnection)
    }

    /// The address of one that listens at an address.
    package var address: SocketAddress {
        guard let address = endpoint.tcpAddress else {
            preconditionFailure("a Unix-domain socket has a path and no address")
        }
        return address
    }

    private func bind(to address: SocketAddress) throws(UVError) {
        let host = address.host.isEmpty ? "0.0.0.0" : address.host
        var numeric = NumericAddress(host: host, port: address.port)
        if numeric == nil {
            numeric = try NameLookup.wait(for: address, on: loop).first
        }
        guard let numeric else { throw UVError(UV_EADDRNOTAVAIL) }
        let tcp = pointer(as: uv_tcp_t.self)
        try UVError.check(numeric.withPointer { uv_tcp_bind(tcp, $0, 0) })
    }

    private func bind(to path: String) throws(UVError) {
        // libuv would cut a longer one off and listen there.
        guard path.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else {
            throw UVError(UV_ENAMETOOLONG)
        }
        let status = uv_pipe_bind(pointer(as: uv_pipe_t.self), path)
        // Where the folder is missing libuv says, for Windows' sake, that it is not allowed.
        if status == UV_EACCES.rawValue, !Self.folderExists(of: path) { throw UVError(UV_ENOENT) }
        try UVError.check(status)
    }

    private static func folderExists(of path: String) -> Bool {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return true }
        return access(String(path[..<slash]), F_OK) == 0
    }

    private func listen(backlog: Int) throws(UVError) {
        // libuv keeps EADDRINUSE of a TCP bind to itself until listen.
        try UVError.check(
            uv_listen(pointer(as: uv_stream_t.self), Int32(backlog)) { handle, status in
                // A status below zero (no file descriptors left) is libuv's to get over: it has
                // turned that caller away and goes on listening.
                if status == 0 { Listener.behind(handle).accept() }
            })
        guard case .tcp = endpoint else { return }
        let tcp = pointer(as: uv_tcp_t.self)
        if let bound = NumericAddress(askedOf: { uv_tcp_getsockname(tcp, $0, $1) }) {
            endpoint = .tcp(bound.socketAddress)
        }
    }

    override func letGo() {
        onConnection = nil
    }

    private func accept() {
        let isLocal = endpoint.tcpAddress == nil
        guard let onConnection, let stream = try? Stream(on: loop, isLocal: isLocal) else { return }
        let status = uv_accept(
            pointer(as: uv_stream_t.self), stream.pointer(as: uv_stream_t.self))
        guard status == 0 else { return stream.close() }
        stream.connected()
        onConnection(stream)
    }
}
