import Foundation
import NSQWire
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `tally doctor` {
    private let folder: TemporaryFolder
    private var dataPath: String { folder.path("messages") }

    init() throws { folder = try TemporaryFolder() }

    private func doctor(
        _ arguments: String...
    ) throws -> (status: Int32?, output: [String], errors: [String]) {
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

    @Test func `reports a killed broker's data path as healthy and prints its contents`() throws {
        try publish(["one", "two", "three"])
        let check = try doctor(dataPath)
        #expect(check.status == 0)
        #expect(check.output.last == "healthy")
        #expect(check.output.contains { $0.hasPrefix("orders ") && $0.contains(" 3") })
        let lines = try doctor(dataPath, "--export=orders")
        #expect(lines.status == 0)
        #expect(lines.output == ["one", "two", "three"])
        let json = try doctor(dataPath, "--json")
        let report = try jsonObject(in: json.output.joined().utf8)
        #expect(report["healthy"] as? Bool == true)
        #expect(report["messages"] as? Int == 3)
    }

    @Test func `prints messages with newlines only in the frames format`() throws {
        try publish(["one", "two\nlines"])
        let lines = try doctor(dataPath, "--export=orders")
        #expect(lines.status == 2)
        #expect(lines.output == [])
        #expect(lines.errors.first?.contains("--format=frames") == true)
        let frames = try doctor(dataPath, "--export=orders", "--format=frames")
        #expect(frames.status == 0)
        #expect(frames.output == ["\0\0\0\u{3}one\0\0\0\u{9}two", "lines"])
    }

    /// A broker that starts on the damaged data path delivers all other messages.
    @Test func `reports the file and position of a flipped byte, which a broker skips`() throws {
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
        let damage = named.map { String($0.dropFirst("damaged: ".count)) } ?? "none"
        #expect(process.line(containing: damage) != nil)
        #expect(try consumeAll(address, "orders", "all", 2).map(\.body) == ["one", "three"])
        end(process)
    }

    @Test func `exits with 2 for a data path that it cannot check`() throws {
        #expect(try doctor(folder.path("none")).status == 2)
        let (process, _) = try broker()
        let refusal = try doctor(dataPath)
        #expect(refusal.status == 2)
        #expect(
            refusal.errors == ["Error: \(dataPath) is in use by a broker: stop it first"])
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

    @Test func `names the import for the data path of an nsqd`() throws {
        try copyFixture(to: dataPath)
        let hint = try doctor(dataPath)
        #expect(hint.status == 2)
        #expect(hint.errors.first?.contains("--import=\(dataPath)") == true)
    }

    /// A real nsqd reads the exported data path if `NSQD_PROGRAM` names one; otherwise our own
    /// import does.
    @Test func `exports a data path that nsqd reads`() throws {
        let (process, address) = try broker()
        let client = try BlockingClient(connectingTo: address)
        _ = try client.ask("SUB orders billing")
        let big = String(repeating: "x", count: 200_000)
        for body in ["one", "two\nlines", big] {
            #expect(try client.ask("PUB orders", Array(body.utf8)) == "OK")
            #expect(try client.ask("PUB lonely", Array(body.utf8)) == "OK")
        }
        try client.send(Array("RDY 1\n".utf8))
        let first = try #require(try client.message(timeout: longestWait))
        #expect(first.body == "one")
        end(process)

        let target = folder.path("nsqd")
        let export = try doctor(dataPath, "--export-nsqd=\(target)")
        #expect(export.status == 0, "\(export.errors)")
        #expect(
            export.output == [
                "exported 2 topics, 1 channel and 6 messages; start nsqd with",
                "nsqd --data-path=\(target)",
            ])
        #expect(try doctor(dataPath, "--export-nsqd=\(target)").status == 2)

        let nsqd = try RunningNSQD(dataPath: target)
        let billing = try consumeAll(nsqd.tcpAddress, "orders", "billing", 3)
        #expect(Set(billing.map(\.body)) == ["one", "two\nlines", big])
        #expect(billing.filter { $0.attempts == 2 }.map(\.body) == ["one"])
        let again = billing.first { $0.body == "one" }
        #expect(again?.timestampNanoseconds == first.timestampNanoseconds)
        let lonely = try consumeAll(nsqd.tcpAddress, "lonely", "new", 3)
        #expect(Set(lonely.map(\.body)) == ["one", "two\nlines", big])
        RunningNSQD.waitUntilSignalsAreHandled()
        #expect(nsqd.stop())
    }

    @Test func `imports the data path of a real nsqd with attempts and timestamps`() throws {
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

        // The messages of paused topics and channels are still there; all others are finished.
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
