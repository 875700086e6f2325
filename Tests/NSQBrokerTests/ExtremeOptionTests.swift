import BrokerCore
import GoFlags
import NSQWire
import TallyBasics
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

/// Swift ends the process when a number overflows, so no option may reach the arithmetic unchecked.
@Suite(.blocking) struct `Extreme option values and peers' numbers` {
    @Test func `limit durations to a hundred years`() throws {
        var options = ServerOptions()
        options.core.messageTimeout = .nanoseconds(Int64.max)
        options.core.maxMessageTimeout = .nanoseconds(Int64.max)
        options.core.maxRequeueTimeout = .nanoseconds(Int64.max)
        let settled = try options.validated()
        #expect(settled.core.messageTimeout == Limits.longestDuration)
        #expect(settled.core.maxMessageTimeout == Limits.longestDuration)
        #expect(settled.core.maxRequeueTimeout == Limits.longestDuration)
    }

    /// Starts a broker for each option with each value, sends each command, and advances the clock
    /// beyond the longest duration.
    @Test func `do not end a broker`() throws {
        let values = [
            "-1", "0", "1", "999us", "64", "65536", "\(1 << 31)", "\(1 << 53)", "\(1 << 62)",
            "\(Int.max)", "\(Int.min)", "1000000000000", "2562047h47m16.854775807s",
        ]
        var accepted = 0
        for option in ServerOption.all {
            for value in values {
                var options = ServerOptions()
                guard (try? option.set(&options, to: value)) != nil,
                    let valid = try? options.validated()
                else { continue }
                accepted += 1
                ExtremeConversation(valid).run()
            }
        }
        #expect(accepted > 300)
    }

    @Test func `are refused one beyond each bound and accepted at it`() throws {
        func refusal(_ flag: String, _ value: String) throws -> String? {
            var options = ServerOptions()
            let option = try #require(ServerOption.all.first { $0.flag == flag })
            try option.set(&options, to: value)
            do throws(SetupError) { _ = try options.validated() } catch { return "\(error)" }
            return nil
        }
        for (flag, range) in [
            ("max-rdy-count", 1...1_000_000_000_000), ("sync-every", 0...1_000_000_000_000),
            ("broadcast-http-port", 0...65_535), ("max-memory-bytes", 1...1 << 50),
            ("statsd-udp-packet-size", 1...65_507), ("max-msg-size", 1...(1 << 30) - 1),
        ] {
            #expect(try refusal(flag, "\(range.lowerBound)") == nil)
            #expect(try refusal(flag, "\(range.upperBound)") == nil)
            for value in [range.lowerBound - 1, range.upperBound + 1] {
                let text =
                    "must be between \(range.lowerBound) and \(range.upperBound), not \(value)"
                #expect(try refusal(flag, "\(value)") == "--\(flag) \(text)")
            }
        }
    }

    @Test(arguments: [1, 999_999, 500_000_000] as [Int64])
    func `refuse every interval if the limit is below the shortest interval`(nanoseconds: Int64)
        throws
    {
        var options = BrokerOptions()
        options.maxHeartbeatInterval = .nanoseconds(nanoseconds)
        options.maxMessageTimeout = .nanoseconds(nanoseconds)
        let now = Timestamp(monotonic: 0, wall: 0)
        for field in ["heartbeat_interval", "msg_timeout"] {
            let broker = Broker(options: options, at: now)
            let session = broker.connect(from: "test:1", host: "test", at: now)
            let body = Array(#"{"\#(field)":1000}"#.utf8)
            var bytes = Array("  V2IDENTIFY\n".utf8)
            bytes += [0, 0, 0, UInt8(body.count)] + body
            _ = bytes.withUnsafeBytes { broker.receive($0, from: session, at: now) }
            #expect(session.isEnded)
        }
    }

    @Test(arguments: [0, -1, 65_536, 9_999_999_999, Int.max, Int.min])
    func `ignore the address of a lookup response with an impossible port`(port: Int) throws {
        let json = #"{"broadcast_address":"127.0.0.1","http_port":\#(port)}"#
        let answer = Array(json.utf8).withUnsafeBytes { LookupResponse(parsing: $0) }
        let address = try #require(answer)
        #expect(SocketAddress(host: address.broadcastAddress, validating: address.httpPort) == nil)
    }
}
