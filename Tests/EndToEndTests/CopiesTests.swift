import Foundation
import TestKit
import TestTraits
import Testing

/// Plays that were published to several nsqds.
@Suite(.blocking) struct `The option --copies of tally produce` {
    private let folder: TemporaryFolder
    private let store: String

    init() throws {
        folder = try TemporaryFolder()
        store = folder.path("counts.sqlite")
    }

    private func produce(
        _ arguments: [String], to addresses: [String], copies: Int = 2
    ) throws -> BuiltProcess {
        try BuiltProcess(
            ["produce", "--copies=\(copies)"] + addresses.map { "--nsqd-tcp-address=\($0)" }
                + arguments)
    }

    private func process(from addresses: [String]) throws -> BuiltProcess {
        try BuiltProcess(
            ["process", "--store=\(store)", "--page-address=none"]
                + addresses.map { "--nsqd-tcp-address=\($0)" })
    }

    private func stop(_ processes: [BuiltProcess]) {
        for process in processes {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }

    @Test(arguments: [0, 1, 2])
    func `loses no play when any one nsqd is lost with its messages`(lost: Int) throws {
        var brokers = try (0..<3).map { _ in try BuiltProcess.broker() }
        let producer = try produce(["--plays=3000"], to: brokers.map(\.address))
        #expect(producer.status() == 0)
        brokers[lost].process.send(SIGKILL)
        #expect(brokers[lost].process.status() != 0)
        brokers.remove(at: lost)
        let processor = try process(from: brokers.map(\.address))
        #expect(try eventually { try counted(in: store).plays == 3000 })
        stop([processor] + brokers.map(\.process))
        #expect(processor.line(containing: "counted 3000 plays") != nil)
    }

    @Test func `publishes to the others while one nsqd is away, and each play counts once`() throws
    {
        var brokers = try (0..<3).map { _ in try BuiltProcess.broker() }
        let producer = try produce(["--plays=3000", "--rate=3000"], to: brokers.map(\.address))
        let processor = try process(from: brokers.dropFirst().map(\.address))
        #expect(try eventually { try counted(in: store).plays > 0 })
        brokers[0].process.send(SIGKILL)
        brokers.removeFirst()
        #expect(producer.status() == 0)
        #expect(try eventually { try counted(in: store).plays == 3000 })
        stop([processor] + brokers.map(\.process))
        #expect(processor.line(containing: "counted 3000 plays") != nil)
    }

    @Test func `explains errors`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let alone = try produce(["--plays=100"], to: [address])
        #expect(alone.status() == 1)
        #expect(alone.line(containing: "--copies=2 needs as many nsqds, and there is one") != nil)

        let lines = folder.path("plays.jsonl")
        let line = #"{"video_id":"1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"}"#
        try line.write(toFile: lines, atomically: true, encoding: .utf8)
        let (other, otherAddress) = try BuiltProcess.broker()
        let unnamed = try produce(["--file=\(lines)"], to: [address, otherAddress])
        #expect(unnamed.status() == 1)
        #expect(unnamed.line(containing: "play 1 has no play_id") != nil)
        stop([broker, other])
    }
}
