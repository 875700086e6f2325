/// What a broker says to nsqlookupd: where it is to be found, and what it has.
///
/// Each is answered before the next one may be sent. An answer is its size and its data; there is
/// no type of frame.
package enum LookupCommand: Equatable, Sendable {
    case identify(LookupIdentity)
    case register(TopicName, ChannelName? = nil)
    case unregister(TopicName, ChannelName? = nil)
    case ping

    /// What is said first, before any command.
    package static let magic: StaticString = "  V1"

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

/// Who a broker is to nsqlookupd.
package struct LookupIdentity: Equatable, Sendable {
    package var version: String
    package var tcpPort: Int
    package var httpPort: Int
    package var hostname: String
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

    /// As nsqd sends it: a map, by name.
    var json: [UInt8] {
        var writer = JSONObjectWriter()
        writer.add("broadcast_address", broadcastAddress)
        writer.add("hostname", hostname)
        writer.add("http_port", httpPort)
        writer.add("tcp_port", tcpPort)
        writer.add("version", version)
        return writer.finished
    }
}

/// What nsqlookupd says of itself in its answer to IDENTIFY.
package struct LookupAnswer: Equatable, Sendable, CustomStringConvertible {
    package private(set) var version = ""
    package private(set) var broadcastAddress = ""
    package private(set) var tcpPort = 0
    package private(set) var httpPort = 0

    /// As nsqd's log has it.
    package var description: String {
        "{TCPPort:\(tcpPort) HTTPPort:\(httpPort) Version:\(version) "
            + "BroadcastAddress:\(broadcastAddress)}"
    }

    /// - Returns: `nil` if it is no such answer; `E_INVALID` is what an nsqlookupd says that wants
    ///   nothing of it.
    package init?(parsing data: Bytes) {
        do throws(JSONError) {
            for (name, value) in try JSONObjectReader.members(of: data) ?? [] {
                switch name {
                case "version": try value.read(into: &version)
                case "broadcast_address": try value.read(into: &broadcastAddress)
                case "tcp_port": try value.read(into: &tcpPort)
                case "http_port": try value.read(into: &httpPort)
                default: break
                }
            }
        } catch {
            return nil
        }
    }
}
