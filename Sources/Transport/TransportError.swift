/// What the peer sent makes no sense in its layer, or does not please it: the connection is of no
/// further use.
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
