import TallyJSON

/// A command from a broker to nsqlookupd, which registers the broker, its topics and its channels.
///
/// The broker waits for the response to each command. A response consists of its size in four bytes
/// and its data; it has no frame type.
package enum LookupCommand: Equatable, Sendable {
    case identify(LookupIdentity)
    case register(TopicName, ChannelName? = nil)
    case unregister(TopicName, ChannelName? = nil)
    case ping

    /// The bytes that a broker sends before its first command.
    package static let magic: StaticString = "  V1"

    /// The command line with its newline. For IDENTIFY, the body's size and the body follow.
    package var bytes: [UInt8] {
        switch self {
        case .identify(let identity):
            let json = identity.json
            var bytes = Array("IDENTIFY\n".utf8)
            bytes.append(bigEndian: Int32(json.count))
            return bytes + json
        default: return Array("\(self)\n".utf8)
        }
    }
}

extension LookupCommand: CustomStringConvertible {
    package var description: String {
        switch self {
        case .identify: "IDENTIFY"
        case .register(let topic, let channel): Self.line("REGISTER", topic, channel)
        case .unregister(let topic, let channel): Self.line("UNREGISTER", topic, channel)
        case .ping: "PING"
        }
    }

    private static func line(_ verb: String, _ topic: TopicName, _ channel: ChannelName?) -> String
    {
        "\(verb) \(topic)" + (channel.map { " \($0)" } ?? "")
    }
}

/// The version and addresses that a broker registers with nsqlookupd.
package struct LookupIdentity: Equatable, Sendable {
    /// The version of the broker.
    package var version: String
    package var tcpPort: Int
    package var httpPort: Int
    package var hostname: String
    /// The host that clients connect to.
    package var broadcastAddress: String

    package init(
        version: String, tcpPort: Int, httpPort: Int, hostname: String, broadcastAddress: String
    ) {
        self.version = version
        self.tcpPort = tcpPort
        self.httpPort = httpPort
        self.hostname = hostname
        self.broadcastAddress = broadcastAddress
    }

    /// The identity as a JSON object with its members sorted by name, as in nsqd.
    package var json: [UInt8] {
        JSONWriter.object { json in
            json.member("broadcast_address", broadcastAddress)
            json.member("hostname", hostname)
            json.member("http_port", httpPort)
            json.member("tcp_port", tcpPort)
            json.member("version", version)
        }
    }
}

/// The response of nsqlookupd to IDENTIFY.
package struct LookupResponse: Equatable, Sendable, CustomStringConvertible {
    package private(set) var version = ""
    package private(set) var broadcastAddress = ""
    package private(set) var tcpPort = 0
    package private(set) var httpPort = 0

    /// The text that nsqd logs for the response.
    package var description: String {
        "{TCPPort:\(tcpPort) HTTPPort:\(httpPort) Version:\(version) "
            + "BroadcastAddress:\(broadcastAddress)}"
    }

    /// Parses a response.
    ///
    /// - Returns: `nil` if the response is not a JSON object. An nsqlookupd that rejects IDENTIFY
    ///   sends `E_INVALID`, for example.
    package init?(parsing data: Bytes) {
        do throws(JSONError) {
            for member in try JSONValue.flatObject(parsingLikeGo: data) ?? [] {
                switch member.name {
                case "version": try member.value.read(into: &version)
                case "broadcast_address": try member.value.read(into: &broadcastAddress)
                case "tcp_port": try member.value.read(into: &tcpPort)
                case "http_port": try member.value.read(into: &httpPort)
                default: break
                }
            }
        } catch {
            return nil
        }
    }
}
