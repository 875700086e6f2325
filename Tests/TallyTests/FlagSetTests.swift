import BrokerCore
import Foundation
import GoFlags
import NSQBroker
import Testing
import Transport

@testable import tally

/// Go, package flag; NSQ, “nsqd”, Command Line Options.
@Suite struct `The command line of nsqd` {
    private let flags = FlagSet(name: "nsqd")

    private func parse(_ words: String...) throws -> ServerOptions {
        try flags.parse(words, over: ServerOptions()).values
    }

    /// The error for a command line.
    private func parseError(_ words: String...) -> String? {
        do throws(FlagError) {
            _ = try flags.parse(words, over: ServerOptions())
        } catch {
            if case .invalid(let text, _) = error { return text }
            return "help"
        }
        return nil
    }

    @Test func `accepts one or two dashes, and = or a space before the value`() throws {
        for words in [["-max-msg-size=7"], ["--max-msg-size=7"], ["-max-msg-size", "7"]] {
            let parsed = try flags.parse(words, over: ServerOptions())
            #expect(parsed.values.core.maxMessageBytes == 7)
            #expect(parsed.given == ["max-msg-size"])
            #expect(parsed.rest.isEmpty)
        }
        #expect(try parse("--log-prefix", "-x=y").log.prefix == "-x=y")
        #expect(try parse("-log-prefix=a=b").log.prefix == "a=b")
        #expect(try parse("-http-address=").addresses.http == "")
    }

    @Test func `accepts booleans without a value`() throws {
        #expect(try parse("-snappy=false").core.snappyEnabled == false)
        #expect(try parse("-snappy=0", "--snappy").core.snappyEnabled)
        let parsed = try flags.parse(["-snappy", "false", "-nope"], over: ServerOptions())
        #expect(parsed.values.core.snappyEnabled)
        #expect(parsed.rest == ["false", "-nope"])
    }

    @Test func `sets where TLS is required with one flag`() throws {
        #expect(try parse("-tls-required").tls.requirement == .everywhere)
        #expect(try parse("-tls-required=TRUE").tls.requirement == .everywhere)
        #expect(try parse("-tls-required=tcp-https").tls.requirement == .exceptHTTP)
        #expect(try parse("-tls-required=f").tls.requirement == .nowhere)
        #expect(try parse("-tls-min-version=TLS1.2").tls.minVersion == .tls12)
    }

    @Test func `collects repeated flags`() throws {
        let options = try parse(
            "-lookupd-tcp-address=a:1", "--lookupd-tcp-address", "b:2,c:3",
            "-e2e-processing-latency-percentile=0.5,1", "-e2e-processing-latency-percentile=.99")
        #expect(options.lookup.tcpAddresses == ["a:1", "b:2,c:3"])
        #expect(options.latency.percentiles == [1, 0.99, 0.5])
        #expect(try parse("-msg-timeout=1s", "-msg-timeout=2s").core.messageTimeout == .seconds(2))
    }

    @Test func `ends the flags at -- and at the first other argument`() throws {
        for (words, rest) in [
            (["-deflate", "--", "-nope"], ["-nope"]), (["stray", "-nope"], ["stray", "-nope"]),
            (["-"], ["-"]),
        ] {
            #expect(Array(try flags.parse(words, over: ServerOptions()).rest) == rest)
        }
    }

    @Test(arguments: [
        ("10", 10), ("-10", -10), ("+10", 10), ("0x1F", 31), ("0b101", 5), ("0o17", 15),
        ("017", 15), ("1_000", 1000), ("0", 0),
    ])
    func `accepts integers in Go's syntax`(text: String, number: Int) throws {
        #expect(try parse("-mem-queue-size=\(text)").core.memoryQueueSize == number)
    }

    @Test(arguments: [
        ("60s", Duration.seconds(60)), ("1m30s", .seconds(90)), ("1.5h", .seconds(5400)),
        ("250ms", .milliseconds(250)), ("0", .zero), ("-5s", .seconds(-5)),
        (".5s", .milliseconds(500)), ("1us", .microseconds(1)), ("3µs", .microseconds(3)),
        ("7ns", .nanoseconds(7)),
    ])
    func `accepts durations in Go's syntax`(text: String, duration: Duration) throws {
        #expect(try parse("-msg-timeout=\(text)").core.messageTimeout == duration)
    }

    @Test func `reports errors in Go's words`() {
        #expect(parseError("-nope") == "flag provided but not defined: -nope")
        #expect(parseError("--nope=3") == "flag provided but not defined: -nope")
        #expect(parseError("-max-msg-size") == "flag needs an argument: -max-msg-size")
        for bad in ["---x", "-=x", "--=x"] { #expect(parseError(bad) == "bad flag syntax: \(bad)") }
        for text in ["x", "", "1.5", "0x", "_1", "1 "] {
            #expect(
                parseError("-max-msg-size=\(text)")
                    == "invalid value \"\(text)\" for flag -max-msg-size: parse error")
        }
        #expect(
            parseError("-max-msg-size=99999999999999999999")?.hasSuffix("value out of range")
                == true)
        for text in ["60", "1m0", "s", "1 s", "", "-"] {
            #expect(parseError("-msg-timeout=\(text)")?.hasSuffix("parse error") == true, "\(text)")
        }
        #expect(
            parseError("-snappy=perhaps")
                == "invalid boolean value \"perhaps\" for -snappy: parse error")
        #expect(parseError("-worker-id=3")?.hasPrefix("invalid boolean value") == true)
        #expect(parseError("-log-level=loud")?.contains("-log-level: invalid log level") == true)
        #expect(parseError("-tls-min-version=ssl9")?.contains("-tls-min-version: unknown") == true)
        for help in ["-h", "--h", "-help", "--help"] { #expect(parseError(help) == "help") }
    }

    /// The flags of `nsqd -help` 1.3.0.
    @Test func `accepts every flag of nsqd`() {
        let names = """
            auth-http-address broadcast-address broadcast-http-port broadcast-tcp-port config \
            data-path deflate e2e-processing-latency-percentile e2e-processing-latency-window-time \
            http-address http-client-connect-timeout http-client-request-timeout https-address \
            log-level log-prefix lookupd-tcp-address max-body-size max-bytes-per-file \
            max-channel-consumers max-deflate-level max-heartbeat-interval max-msg-size \
            max-msg-timeout max-output-buffer-size max-output-buffer-timeout max-rdy-count \
            max-req-timeout mem-queue-size min-output-buffer-timeout msg-timeout node-id \
            output-buffer-timeout queue-scan-selection-count queue-scan-worker-pool-max snappy \
            statsd-address statsd-exclude-ephemeral statsd-interval statsd-mem-stats statsd-prefix \
            statsd-udp-packet-size sync-every sync-timeout tcp-address tls-cert \
            tls-client-auth-policy tls-key tls-min-version tls-required tls-root-ca-file verbose \
            version worker-id
            """
        let nsqds = ServerOption.all.filter { !$0.isOwn }.map(\.flag)
        #expect(nsqds == names.split(separator: " ").map(String.init))
        #expect(Set(ServerOption.all.map(\.flag)).count == ServerOption.all.count)
    }

    @Test func `lists nsqd's flags and then ours in the usage`() throws {
        let usage = flags.usage(ServerOptions())
        #expect(usage.hasPrefix("Usage of nsqd:\n  -auth-http-address value\n    \t"))
        #expect(usage.contains("\n  -msg-timeout duration\n    \t"))
        #expect(usage.contains("(default 1m0s)\n"))
        #expect(usage.contains("(default \"0.0.0.0:4150\")\n"))
        let apart = try #require(usage.range(of: "\nBeyond nsqd 1.3.0:\n"))
        #expect(usage[..<apart.lowerBound].contains("  -worker-id\n"))
        #expect(usage[apart.upperBound...].contains("  -max-topics int\n"))
        #expect(!usage[..<apart.lowerBound].contains("-max-topics"))
    }
}
