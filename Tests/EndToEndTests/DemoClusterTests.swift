import Foundation
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `The demo with three nsqds` {
    private let folders: [TemporaryFolder]
    /// Keep the ports of the nsqds free during a restart.
    private let reservations: [PortReservation]

    init() throws {
        folders = try (0..<3).map { _ in try TemporaryFolder() }
        reservations = try (0..<3).map { _ in try #require(PortReservation()) }
    }

    private func start(_ index: Int) throws -> (process: BuiltProcess, address: String) {
        try BuiltProcess.listening([
            "nsqd", "--tcp-address=\(reservations[index].address)", "--http-address=127.0.0.1:0",
            "--data-path=\(folders[index].url.path)", "--sync=always",
        ])
    }

    @Test(arguments: [SIGKILL, SIGTERM])
    func `counts every play although one of them restarts`(signal: Int32) throws {
        var brokers = try folders.indices.map { try start($0) }
        let demo = try BuiltProcess(
            ["demo", "--json", "--plays=6000", "--rate=1500"]
                + brokers.map { "--nsqd-tcp-address=\($0.address)" })
        let printed = try #require(demo.line(containing: "nsq_tail"))
        #expect(brokers.allSatisfy { printed.contains($0.address) })
        _ = try #require(demo.line(containing: "published "))
        brokers[1].process.send(signal)
        _ = brokers[1].process.status()
        brokers[1] = try start(1)
        #expect(demo.status() == 0, "\(demo.lines(of: .standardError).suffix(20))")
        let line = try #require(demo.lines(of: .standardOutput).first)
        let verdict = try VerdictJSON(json: line.utf8)
        #expect(verdict.rules.filter { !$0.holds }.isEmpty)
        #expect(verdict.plays_counted == 6_000)
        #expect(verdict.broker == brokers.map(\.address).joined(separator: ", "))
        for broker in brokers {
            broker.process.send(SIGTERM)
            #expect(broker.process.status() == 0)
        }
    }

    @Test func `names the nsqd that is not running`() throws {
        let brokers = try [start(0), start(1)]
        brokers[1].process.send(SIGTERM)
        #expect(brokers[1].process.status() == 0)
        let demo = try BuiltProcess(
            ["demo", "--plays=100"] + brokers.map { "--nsqd-tcp-address=\($0.address)" })
        #expect(demo.status() == 1)
        #expect(demo.lines(of: .standardError).last?.contains(brokers[1].address) == true)
        brokers[0].process.send(SIGTERM)
        #expect(brokers[0].process.status() == 0)
    }
}
