import NSQWire
import Transport
import UVLoop

/// An error that ends a measurement.
enum BenchError: Error, CustomStringConvertible {
    case connection(UVError?)
    case malformed(FrameError)
    case layers(TransportError)
    case refused(String)
    case declined(String)
    case stalled(String)

    var description: String {
        switch self {
        case .connection(let error):
            "the connection ended: \(error.map { "\($0)" } ?? "closed by nsqd")"
        case .malformed(let error): "invalid NSQ frame: \(error)"
        case .layers(let error): "cannot decode the received data: \(error)"
        case .refused(let text): "nsqd answered \(text)"
        case .declined(let feature): "nsqd declined \(feature)"
        case .stalled(let phase): "no progress for 10 s while \(phase)"
        }
    }
}
