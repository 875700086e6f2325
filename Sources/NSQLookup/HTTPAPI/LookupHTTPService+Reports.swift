import HTTP
import NSQWire
import TallyBasics
import TallyJSON
import UVLoop

/// The responses of nsqlookupd, with their members in the order that Go's nsqlookupd has.
extension LookupHTTPService {
    var info: [UInt8] {
        JSONWriter.object { json in
            json.member("version", server.options.version)
            json.member("tally_version", TallyVersion.current)
        }
    }

    var topics: [UInt8] {
        JSONWriter.object { $0.member("topics", server.table.topicNames) }
    }

    func channels(_ query: HTTPQuery) throws(HTTPFailure) -> [UInt8] {
        let selection = TopicSelection(try topicText(in: query))
        return JSONWriter.object {
            $0.member("channels", server.table.channelNames(of: selection))
        }
    }

    func lookup(_ query: HTTPQuery) throws(HTTPFailure) -> [UInt8] {
        let selection = TopicSelection(try topicText(in: query))
        guard server.table.hasTopic(selection) else { throw .topicNotFound }
        let producers = server.table.producers(of: selection, at: server.loop.timestamp)
        return JSONWriter.object { json in
            json.member("channels", server.table.channelNames(of: selection))
            json.name("producers")
            json.array(producers) { json, info in
                json.object { info.writeMembers(to: &$0) }
            }
        }
    }

    var nodes: [UInt8] {
        let nodes = server.table.nodes(at: server.loop.timestamp)
        return JSONWriter.object { json in
            json.name("producers")
            json.array(nodes) { json, node in
                json.object { json in
                    node.info.writeMembers(to: &json)
                    json.member("tombstones", node.topics.map(\.isTombstoned))
                    json.member("topics", node.topics.map(\.name))
                }
            }
        }
    }

    var debug: [UInt8] {
        JSONWriter.object { json in
            for (registration, entries) in server.table.debugEntries() {
                let (category, key, subkey) = registration.parts
                json.name("\(category):\(key):\(subkey)")
                json.array(entries) { json, entry in
                    json.object { Self.write(entry, to: &$0) }
                }
            }
        }
    }

    private static func write(
        _ entry: RegistrationTable.DebugEntry, to json: inout JSONWriter
    ) {
        json.member("broadcast_address", entry.info.broadcastAddress)
        json.member("hostname", entry.info.hostname)
        json.member("http_port", entry.info.httpPort)
        json.member("id", entry.info.remoteAddress)
        json.member("last_update", Int(entry.lastUpdate.wall))
        json.member("tcp_port", entry.info.tcpPort)
        json.member("tombstoned", entry.tombstonedAt != nil)
        json.member("tombstoned_at", entry.tombstonedAt.map { Int($0.wall) } ?? goZeroTime)
        json.member("version", entry.info.version)
    }

    /// The value of `time.Time{}.UnixNano()` in Go, which `/debug` of Go's nsqlookupd reports for a
    /// time that was never set.
    private static let goZeroTime = -6_795_364_578_871_345_152

    var metrics: HTTPResponse {
        let table = server.table
        var text = PrometheusText()
        text.add("nsqlookupd_info", .gauge, "The version of nsqlookupd.")
        text.sample(1, ("version", server.options.version))
        text.add("tally_build_info", .gauge, "The version of tally, and of the compatible NSQ.")
        text.sample(
            1, ("version", TallyVersion.current), ("nsqlookupd_version", server.options.version))
        text.add(
            "nsqlookupd_start_time_seconds", .gauge, "Start time since the Unix epoch in seconds.")
        text.sample(Int(server.startedAt.wall / 1_000_000_000))
        let connections = server.connectionCounts
        text.add("nsqlookupd_connections", .gauge, "Number of open connections.")
        text.sample(connections.tcp, ("protocol", "tcp"))
        text.sample(connections.http, ("protocol", "http"))
        text.add("nsqlookupd_producers", .gauge, "Number of connected nsqds, by activity.")
        let active = table.nodes(at: server.loop.timestamp).count
        text.sample(active, ("state", "active"))
        text.sample(table.peerCount - active, ("state", "inactive"))
        text.add("nsqlookupd_topics", .gauge, "Number of topics.")
        text.sample(table.topicCount)
        text.add("nsqlookupd_channels", .gauge, "Number of channels of all topics.")
        text.sample(table.channelCount)
        text.add(
            "nsqlookupd_registrations", .gauge,
            "Number of topics and channels, and of the nsqds of each of them.")
        text.sample(table.entryCount)
        text.add("nsqlookupd_registrations_limit", .gauge, "Limit of the registrations.")
        text.sample(table.limits.maxEntries)
        text.addProcessUsage()
        return HTTPResponse(
            status: 200, headers: [("Content-Type", PrometheusText.contentType)],
            body: Array(text.text.utf8))
    }
}
