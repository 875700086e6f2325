import Transport
import UVLoop

/// The reason why a client's request has no response.
package enum HTTPClientError: Error, Equatable, CustomStringConvertible {
    /// The host or the target of the URL contains a blank or a control character, which would change the
    /// request.
    case invalidURL
    /// The connection could not be established, or it broke.
    case connectionFailed(UVError)
    /// The connection was not established within the connect timeout.
    case connectTimedOut
    /// The TLS handshake or a TLS record failed, for example because the server's certificate is
    /// not trusted.
    case tlsFailed(TransportError)
    /// The response was not complete within the request timeout.
    case requestTimedOut
    /// The response body exceeds `limit` bytes.
    case responseTooLarge(limit: Int)
    /// The response is not valid HTTP, or the connection ended before the response was complete.
    case malformedResponse

    /// A message for logs and users.
    package var description: String {
        switch self {
        case .invalidURL: "the URL contains a blank or a control character"
        case .connectionFailed(let error): "\(error)"
        case .connectTimedOut: "connection timed out"
        case .tlsFailed(let error): "\(error)"
        case .requestTimedOut: "request timed out"
        case .responseTooLarge(let limit): "response larger than \(limit) bytes"
        case .malformedResponse: "malformed response"
        }
    }
}
