import Foundation

/// A stream socket with blocking calls: a TCP or Unix-domain client, or a connection that a
/// ``BlockingListener`` has accepted.
///
/// It reads nothing in the background, so a test can simulate a peer that stops reading. A read that
/// waits for ``longestWait`` ends as if the peer had closed its side.
package final class BlockingSocket {
    /// -1 after ``close()``.
    private var descriptor: Int32

    private static let pieceBytes = 64 << 10

    /// Connects.
    ///
    /// - Parameters:
    ///   - address: a numeric IPv4 address and a port, as `host:port`, or the path of a Unix-domain
    ///     socket.
    ///   - receiveBufferBytes: the size of the kernel's receive buffer; by default the system's. A
    ///     small one fills sooner.
    /// - Throws: the reason why there is no connection.
    package convenience init(
        to address: some CustomStringConvertible, receiveBufferBytes: Int32? = nil
    ) throws {
        let address = address.description
        let isPath = address.contains("/")
        self.init(adopting: newSocket(isPath ? AF_UNIX : AF_INET, SOCK_STREAM))
        if let receiveBufferBytes {
            setOption(SO_RCVBUF, at: SOL_SOCKET, to: receiveBufferBytes, of: descriptor)
        }
        if isPath {
            var name = try sockaddr_un(path: address)
            try withSocketAddress(&name) { connect(descriptor, $0, $1) }
        } else {
            var name = try sockaddr_in(parsing: address)
            try withSocketAddress(&name) { connect(descriptor, $0, $1) }
        }
    }

    /// Takes ownership of a descriptor, and closes it when the object is released.
    init(adopting descriptor: Int32) {
        self.descriptor = descriptor
        limitReads(of: descriptor)
        // Without delay, the bytes are sent when `send` returns.
        setOption(TCP_NODELAY, at: Int32(IPPROTO_TCP), to: Int32(1), of: descriptor)
    }

    deinit { close() }

    /// The socket's own port; 0 for a Unix-domain socket.
    package var port: Int {
        var name = sockaddr_in()
        try? withSocketAddress(&name) { getsockname(descriptor, $0, &$1) }
        return name.sin_family == sa_family_t(AF_INET) ? name.port : 0
    }

    // MARK: Sending

    /// Sends bytes.
    ///
    /// - Returns: `false` if the peer has closed the connection before it accepted all of them.
    @discardableResult
    package func send(_ bytes: some Sequence<UInt8>) -> Bool {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { rest in
                repeatingInterrupted {
                    Foundation.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
                }
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Sends a text; see the method for bytes.
    @discardableResult
    package func send(_ text: String) -> Bool { send(text.utf8) }

    // MARK: Receiving

    /// Waits for the first bytes, and receives at most `count`.
    ///
    /// - Returns: no bytes if the peer has closed its side.
    package func receive(atMost count: Int = BlockingSocket.pieceBytes) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: min(count, Self.pieceBytes)) { buffer, received in
            received = max(
                0,
                repeatingInterrupted { recv(descriptor, buffer.baseAddress, buffer.count, 0) })
        }
    }

    /// Receives `count` bytes, or fewer if the peer closes its side.
    package func receive(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = receive(atMost: count - bytes.count)
            guard !more.isEmpty else { break }
            bytes += more
        }
        return bytes
    }

    /// Receives bytes until the peer closes its side.
    package func receiveAll() -> [UInt8] { receive(.max) }

    /// Receives text until the peer closes its side.
    package func receiveText() -> String { String(decoding: receiveAll(), as: UTF8.self) }

    /// Waits until there are bytes to receive, or the peer has closed its side.
    ///
    /// - Returns: `false` if there is nothing after `seconds`.
    package func isReadable(within seconds: TimeInterval = 0) -> Bool {
        firstReadable(of: [descriptor], within: seconds) != nil
    }

    /// Waits until one of the sockets is readable.
    ///
    /// - Returns: the socket; `nil` after ``longestWait``.
    package static func firstReadableSocket(of sockets: [BlockingSocket]) -> BlockingSocket? {
        firstReadable(of: sockets.map(\.descriptor), within: longestWait).map { sockets[$0] }
    }

    // MARK: Ends

    /// Shuts down the write side: the peer receives the end of the stream.
    package func end() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes the connection. Without it, the connection is closed when the object is released.
    package func close() {
        guard descriptor >= 0 else { return }
        Foundation.close(descriptor)
        descriptor = -1
    }

    /// Closes the connection with a reset, so that later writes of the peer fail.
    package func reset() {
        // A reset can overtake earlier bytes on a busy machine, so the peer's kernel must have
        // acknowledged them. Nothing but this count shows that.
        var unacknowledged: Int32 = 0
        repeat {
            guard ioctl(descriptor, UInt(TIOCOUTQ), &unacknowledged) == 0 else { break }
        } while unacknowledged > 0
        setOption(SO_LINGER, at: SOL_SOCKET, to: linger(l_onoff: 1, l_linger: 0), of: descriptor)
        close()
    }
}
