/// Invalid data in a transport layer, or a failed TLS handshake. The connection must be closed.
package enum TransportError: Error, Equatable, Sendable, CustomStringConvertible {
    case tls(String)
    case deflate(String)
    case snappy(String)

    package var description: String {
        switch self {
        case .tls(let reason): "TLS: \(reason)"
        case .deflate(let reason): "deflate: \(reason)"
        case .snappy(let reason): "snappy: \(reason)"
        }
    }
}
