import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A command with an nsqlookupd` {
    /// Two brokers, and an nsqlookupd that reports both.
    private let brokers: [(process: BuiltProcess, address: String)]
    private let lookupd: FixedResponseServer

    init() throws {
        brokers = try (0..<2).map { _ in try BuiltProcess.broker() }
        let producers = brokers.map { broker in
            let port = broker.address.split(separator: ":").last!
            return #"{"broadcast_address":"127.0.0.1","tcp_port":\#(port)}"#
        }
        lookupd = try FixedResponseServer(
            #"{"channels":[],"producers":[\#(producers.joined(separator: ","))]}"#)
    }

    private func stopBrokers() {
        for (process, _) in brokers {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }

    @Test func `counts the plays of every nsqd that it reports`() throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let processor = try BuiltProcess([
            "process", "--lookupd-http-address=\(lookupd.address)", "--store=\(store)",
        ])
        for (_, address) in brokers {
            let producer = try BuiltProcess([
                "produce", "--nsqd-tcp-address=\(address)", "--plays=500",
            ])
            #expect(producer.status() == 0)
        }
        #expect(try eventually { try counted(in: store).plays == 1_000 })
        processor.send(SIGTERM)
        #expect(processor.status() == 0, "\(processor.lines(of: .standardError))")
        stopBrokers()
    }

    @Test func `publishes to every nsqd that it reports, in turn`() throws {
        let producer = try BuiltProcess([
            "produce", "--lookupd-http-address=\(lookupd.address)", "--plays=20000", "--json",
        ])
        #expect(producer.status() == 0, "\(producer.lines(of: .standardError))")
        let folder = try TemporaryFolder()
        for (index, broker) in brokers.enumerated() {
            // Each processor receives the messages of one broker.
            let store = folder.path("counts\(index).sqlite")
            let processor = try BuiltProcess([
                "process", "--nsqd-tcp-address=\(broker.address)", "--store=\(store)",
            ])
            #expect(try eventually { try counted(in: store).plays >= 5_000 })
            processor.send(SIGTERM)
            #expect(processor.status() == 0)
        }
        stopBrokers()
    }

    @Test func `runs the demo through every nsqd that it reports`() throws {
        let demo = try BuiltProcess([
            "demo", "--lookupd-http-address=\(lookupd.address)", "--plays=3000", "--json",
        ])
        let printed = try #require(demo.line(containing: "nsq_tail"))
        #expect(brokers.allSatisfy { printed.contains($0.address) })
        #expect(demo.status() == 0, "\(demo.lines(of: .standardError).suffix(20))")
        let line = try #require(demo.lines(of: .standardOutput).first)
        let verdict = try VerdictJSON(json: line.utf8)
        #expect(verdict.plays_counted == 3_000)
        stopBrokers()
    }

    @Test(arguments: ["produce --plays=100", "demo --plays=100"])
    func `reports that no nsqd is registered, and that no nsqlookupd responds`(
        _ command: String
    ) throws {
        let empty = try FixedResponseServer(#"{"producers":[]}"#)
        let words = command.split(separator: " ").map(String.init)
        for (address, reason) in [
            (empty.address, "no nsqd is registered at nsqlookupd"),
            ("127.0.0.1:1", "no nsqlookupd responded: 127.0.0.1:1: connection refused"),
        ] {
            let process = try BuiltProcess(words + ["--lookupd-http-address=\(address)"])
            #expect(process.status() == 1)
            #expect(process.lines(of: .standardError).last?.contains(reason) == true)
        }
        stopBrokers()
    }
}
