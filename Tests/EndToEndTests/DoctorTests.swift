import Foundation
import NSQWire
import TestKit
import Testing

@Suite struct `tally doctor` {
    private let folder: TemporaryFolder
    private var dataPath: String { folder.path("messages") }

    init() throws { folder = try TemporaryFolder() }

    private func doctor(
        _ arguments: String...
    ) throws -> (status: Int32?, output: [String], complaints: [String]) {
        let doctor = try BuiltProcess(["doctor"] + arguments)
        let status = doctor.status()
        return (status, doctor.lines(of: .standardOutput), doctor.lines(of: .standardError))
    }

    private func broker() throws -> (process: BuiltProcess, address: String) {
        try FileManager.default.createDirectory(
            atPath: dataPath, withIntermediateDirectories: true)
        return try BuiltProcess.broker(["--data-path=\(dataPath)"])
    }

    private func end(_ broker: BuiltProcess, by signal: Int32 = SIGTERM) {
        broker.send(signal)
        #expect(broker.status() == (signal == SIGTERM ? 0 : -signal))
    }

    private func publish(_ bodies: [String]) throws {
        let (process, address) = try broker()
        let client = try BlockingClient(connectingTo: address)
        for body in bodies { #expect(try client.ask("PUB orders", Array(body.utf8)) == "OK") }
        end(process, by: SIGKILL)
    }

    @Test func `finds a killed broker's data path healthy, and prints what is in it`() throws {
        try publish(["one", "two", "three"])
        let check = try doctor(dataPath)
        #expect(check.status == 0)
        #expect(check.output.last == "healthy")
        #expect(check.output.contains { $0.hasPrefix("orders ") && $0.contains(" 3") })
        let lines = try doctor(dataPath, "--export=orders")
        #expect(lines.status == 0)
        #expect(lines.output == ["one", "two", "three"])
        let json = try doctor(dataPath, "--json")
        let answer =
            try JSONSerialization.jsonObject(with: Data(json.output.joined().utf8))
            as? [String: Any]
        #expect(answer?["healthy"] as? Bool == true)
        #expect(answer?["messages"] as? Int == 3)
    }

    @Test func `prints messages of several lines as frames alone`() throws {
        try publish(["one", "two\nlines"])
        let lines = try doctor(dataPath, "--export=orders")
        #expect(lines.status == 2)
        #expect(lines.output == [])
        #expect(lines.complaints.first?.contains("--format=frames") == true)
        let frames = try doctor(dataPath, "--export=orders", "--format=frames")
        #expect(frames.status == 0)
        #expect(frames.output == ["\0\0\0\u{3}one\0\0\0\u{9}two", "lines"])
    }

    /// Damage costs what it hit and no more: who starts a broker on it has the rest.
    @Test func `names a flipped byte's file and place, where a broker goes on`() throws {
        try publish(["one", "two", "three"])
        let file = URL(filePath: dataPath).appending(component: "journal.000001.log")
        var bytes = try Data(contentsOf: file)
        let place = bytes.firstRange(of: Data("two".utf8))!.lowerBound
        bytes[place] ^= 0x20
        try bytes.write(to: file)
        let check = try doctor(dataPath)
        #expect(check.status == 1)
        let named = check.output.first { $0.hasPrefix("damaged: journal.000001.log, bytes ") }
        let numbers = named?.split(separator: " ").compactMap { Int($0.trimming(":")) } ?? []
        #expect(numbers.count == 2)
        #expect(numbers.count == 2 && (numbers[0]..<numbers[1]).contains(place))

        let (process, address) = try broker()
        let damage = named?.dropFirst("damaged: ".count) ?? "none"
        #expect(process.lines(of: .standardError).contains { $0.contains(damage) })
        #expect(try consumeAll(address, "orders", "all", 2).map(\.body) == ["one", "three"])
        end(process)
    }

    @Test func `says what it cannot look at, with another status`() throws {
        #expect(try doctor(folder.path("none")).status == 2)
        let (process, _) = try broker()
        let refusal = try doctor(dataPath)
        #expect(refusal.status == 2)
        #expect(
            refusal.complaints == ["Error: a broker works with \(dataPath): stop it first"])
        end(process)
        #expect(try doctor(dataPath, "--channel=all").status == 64)
        #expect(try doctor(dataPath, "--import=\(dataPath)/").status == 64)
    }

    private func copyFixture(to path: String) throws {
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/nsqd-data")
        try FileManager.default.copyItem(at: fixture, to: URL(filePath: path))
    }

    @Test func `is what a broker points to that finds what nsqd has left`() throws {
        try copyFixture(to: dataPath)
        let (process, _) = try broker()
        #expect(
            process.lines(of: .standardError).contains { $0.contains("tally doctor --import") })
        end(process)
        let hint = try doctor(dataPath)
        #expect(hint.status == 2)
        #expect(hint.complaints.first?.contains("--import=\(dataPath)") == true)
    }

    @Test func `moves what a real nsqd has left, down to attempts and timestamps`() throws {
        let source = folder.path("nsqd")
        try copyFixture(to: source)
        let move = try doctor("--import=\(source)", dataPath)
        #expect(move.status == 0)
        #expect(move.output.last == "tally nsqd --data-path=\(dataPath)")
        #expect(try doctor(dataPath).status == 0)

        let (process, address) = try broker()
        let billing = try consumeAll(address, "orders", "billing", 8)
        #expect(Set(billing.map(\.body)) == Set((5...12).map { "order \($0)" }))
        #expect(Set(billing.filter { $0.attempts == 2 }.map(\.body)) == ["order 5", "order 6"])
        #expect(billing.filter { $0.attempts == 1 }.count == 6)
        let fifth = billing.first { $0.body == "order 5" }
        #expect(fifth?.timestampNanoseconds == 1_795_253_309_781_984_291)
        #expect(try consumeAll(address, "late", "all", 1).map(\.body) == ["deferred"])
        #expect(try consumeAll(address, "parked", "all", 1).map(\.body) == ["before the pause"])
        let lonely = try consumeAll(address, "lonely", "new", 7)
        #expect(
            Set(lonely.map(\.body)) == Set((1...6).map { "lonely \($0)" } + ["two\nlines"]))
        end(process)

        // What is paused stays so: its messages are there, and everything else is finished.
        let rest = try doctor(dataPath, "--export=orders", "--channel=mailing")
        #expect(Set(rest.output) == Set((1...12).map { "order \($0)" }))
        let billed = try doctor(dataPath, "--export=orders", "--channel=billing")
        #expect(billed.output == [])
        #expect(
            Set(try doctor(dataPath, "--export=parked").output)
                == Set((1...5).map { "parked \($0)" }))
    }
}

extension Substring {
    fileprivate func trimming(_ last: Character) -> Substring {
        self.last == last ? dropLast() : self
    }
}
