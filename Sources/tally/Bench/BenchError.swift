import NSQWire
import Transport
import UVLoop

/// Why a measurement could not be made.
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
            "the connection ended: \(error.map { "\($0)" } ?? "hung up on")"
        case .malformed(let error): "what it sends is not NSQ: \(error)"
        case .layers(let error): "what it sends cannot be read: \(error)"
        case .refused(let text): "it answered \(text)"
        case .declined(let what): "it declined \(what)"
        case .stalled(let what): "nothing came for ten seconds while \(what)"
        }
    }
}
