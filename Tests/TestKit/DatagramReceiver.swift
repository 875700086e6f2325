import Foundation

/// A UDP socket that waits, but not for ever.
package final class DatagramReceiver {
    private let descriptor: Int32
    package let address: String

    package init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let status = withUnsafeMutablePointer(to: &name) { name in
            // SAFETY: a sockaddr_in is what AF_INET's sockaddr is.
            name.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) | getsockname(descriptor, $0, &size)
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRINUSE) }
        address = "127.0.0.1:\(in_port_t(bigEndian: name.sin_port))"
    }

    deinit { close(descriptor) }

    package typealias Datagram = (date: Date, text: String)

    /// Takes datagrams up to one that holds `text`.
    ///
    /// - Returns: all of them, or `nil` if there was none with it in `timeout` seconds.
    package func datagrams(
        upTo text: some RegexComponent, timeout: TimeInterval = longestWait
    ) -> [Datagram]? {
        let deadline = Date(timeIntervalSinceNow: timeout)
        var all: [Datagram] = []
        while let next = receive(until: deadline) {
            all.append((Date(), next))
            if next.contains(text) { return all }
        }
        return nil
    }

    /// Takes the datagrams that arrive, until none has arrived for `seconds`.
    package func datagrams(untilSilentFor seconds: TimeInterval) -> [Datagram] {
        var all: [Datagram] = []
        while let next = receive(until: Date(timeIntervalSinceNow: seconds)) {
            all.append((Date(), next))
        }
        return all
    }

    private func receive(until deadline: Date) -> String? {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = repeatingInterrupted {
            let wait = max(0, deadline.timeIntervalSinceNow)
            return poll(&state, 1, Int32((wait * 1000).rounded(.up)))
        }
        guard ready == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }
}
