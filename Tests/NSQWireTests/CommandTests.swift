import NSQWire
import TestKit
import Testing

@Suite struct `A command` {
    static let id = "0123456789abcdef"

    static let lines: [(String, Command)] = [
        ("IDENTIFY", .identify),
        ("AUTH", .authenticate),
        ("SUB plays counts#ephemeral", .subscribe(topic("plays"), channel("counts#ephemeral"))),
        ("RDY 0", .ready(count: 0)),
        ("RDY 2500", .ready(count: 2_500)),
        ("FIN \(id)", .finish(messageID(id))),
        ("REQ \(id) 0", .requeue(messageID(id), afterMilliseconds: 0)),
        ("REQ \(id) 3600001", .requeue(messageID(id), afterMilliseconds: 3_600_001)),
        ("TOUCH \(id)", .touch(messageID(id))),
        ("CLS", .close),
        ("NOP", .nop),
        ("PUB plays", .publish(topic("plays"))),
        ("MPUB plays", .multiPublish(topic("plays"))),
        ("DPUB plays 700", .deferredPublish(topic("plays"), afterMilliseconds: 700)),
    ]

    @Test(arguments: lines)
    func `is parsed from its line and written as the same line`(line: String, command: Command)
        throws
    {
        #expect(try Command.parse(line) == command)
        #expect(command.line == Array((line + "\n").utf8))
    }

    @Test(arguments: [
        ("RDY", Command.ready(count: 1)),
        ("RDY ", .ready(count: 0)),
        ("RDY 00000000000000000000000007", .ready(count: 7)),
        ("RDY 9223372036854775807", .ready(count: .max)),
        ("RDY 9223372036854775808", .ready(count: .max)),
        ("RDY 99999999999999999999", .ready(count: .max)),
        ("REQ \(id) ", .requeue(messageID(id), afterMilliseconds: 0)),
        ("DPUB plays ", .deferredPublish(topic("plays"), afterMilliseconds: 0)),
        ("NOP twice", .nop),
        ("SUB plays counts now", .subscribe(topic("plays"), channel("counts"))),
    ])
    func `is parsed with nsqd's leniency`(line: String, command: Command) throws {
        #expect(try Command.parse(line) == command)
    }

    @Test(arguments: [
        ("", "E_INVALID invalid command "),
        ("nop", "E_INVALID invalid command nop"),
        ("AUTH ", "E_INVALID AUTH invalid number of parameters"),
        ("SUB plays", "E_INVALID SUB insufficient number of parameters"),
        ("PUB", "E_INVALID PUB insufficient number of parameters"),
        ("MPUB", "E_INVALID MPUB insufficient number of parameters"),
        ("DPUB plays", "E_INVALID DPUB insufficient number of parameters"),
        ("FIN", "E_INVALID FIN insufficient number of params"),
        ("REQ \(id)", "E_INVALID REQ insufficient number of params"),
        ("TOUCH", "E_INVALID TOUCH insufficient number of params"),
        ("FIN 0123", "E_INVALID invalid message ID"),
        ("REQ short soon", "E_INVALID invalid message ID"),
        ("REQ \(id) -1", "E_INVALID REQ could not parse timeout -1"),
        ("RDY 1 ", nil),
        ("RDY +1", "E_INVALID RDY could not parse count +1"),
        ("RDY 99999999999999999999x", "E_INVALID RDY could not parse count 99999999999999999999x"),
        ("DPUB p! x", "E_BAD_TOPIC DPUB topic name \"p!\" is not valid"),
        ("MPUB p!", "E_BAD_TOPIC E_BAD_TOPIC MPUB topic name \"p!\" is not valid"),
        ("SUB p! c!", "E_BAD_TOPIC SUB topic name \"p!\" is not valid"),
        ("SUB p c!", "E_BAD_CHANNEL SUB channel name \"c!\" is not valid"),
    ])
    func `is rejected with nsqd's error text`(line: String, words: String?) {
        #expect(Command.refusal(of: line) == words)
    }

    @Test func `that is unknown is repeated unchanged in the error`() {
        let error = #expect(throws: ProtocolError.self) { try Command.parse([0, 0xff, 0xc3]) }
        #expect(error?.data == Array("E_INVALID invalid command ".utf8) + [0, 0xff, 0xc3])
    }

    @Test func `is followed by the length of its body and the body`() {
        var out: [UInt8] = []
        Command.publish(topic("plays")).append(body: Array("play".utf8), to: &out)
        #expect(out == Array("PUB plays\n".utf8) + [0, 0, 0, 4] + Array("play".utf8))
    }

    @Test
    func `for many messages is followed by total length, count, and each message with its length`()
    {
        var out: [UInt8] = []
        Command.appendMultiPublish(topic("plays"), ["a", "bcd"].map { Array($0.utf8) }, to: &out)
        let sizes: [[UInt8]] = [[0, 0, 0, 16], [0, 0, 0, 2], [0, 0, 0, 1], [0, 0, 0, 3]]
        #expect(
            out == Array("MPUB plays\n".utf8) + sizes[0] + sizes[1] + sizes[2] + Array("a".utf8)
                + sizes[3] + Array("bcd".utf8))
    }

    @Test func `FIN is written in runs that are parsed like single commands`() throws {
        var random = SeededGenerator()
        for count in [0, 1, 2, 3, 7, 100] {
            let ids = (0..<count).map { _ in MessageID(random.next()) }
            var run = Array("NOP\n".utf8)
            FinishLine.append(ids, to: &run)
            #expect(run == Array("NOP\n".utf8) + ids.flatMap { Command.finish($0).line })
            #expect(run.count == 4 + count * FinishLine.byteCount)
        }
    }

    @Test func `is parsed back from its written form`() throws {
        var random = SeededGenerator()
        for _ in 0..<2_000 {
            let command = anyCommand(&random)
            let hint = "\(command), \(random.repetition(of: "CommandTests"))"
            let line = command.line
            #expect(line.last == UInt8(ascii: "\n"), "\(hint)")
            #expect(try Command.parse(Array(line.dropLast())) == command, "\(hint)")
        }
    }

    @Test func `is parsed or rejected from random bytes without crashing`() {
        var random = SeededGenerator()
        let verbs = Verb.allCases.map { Array($0.rawValue.utf8) }
        for _ in 0..<5_000 {
            var line = Bool.random(using: &random) ? verbs.randomElement(using: &random)! : []
            let bytes: [UInt8] = [0, 9, 13, 32, 32, 32, 34, 35, 48, 57, 92, 97, 127, 195, 255]
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                line.append(bytes.randomElement(using: &random)!)
            }
            if let refusal = Command.refusal(of: line) {
                #expect(refusal.hasPrefix("E_"), "\(random.repetition(of: "CommandTests"))")
            }
        }
    }

    private func anyCommand(_ random: inout SeededGenerator) -> Command {
        let id = MessageID(random.next())
        let number =
            Int.random(in: 0...Int.max, using: &random) >> Int.random(in: 0...62, using: &random)
        let topic = topic(anyName(&random))
        return switch Verb.allCases.randomElement(using: &random)! {
        case .identify: .identify
        case .authenticate: .authenticate
        case .subscribe: .subscribe(topic, channel(anyName(&random)))
        case .ready: .ready(count: number)
        case .finish: .finish(id)
        case .requeue: .requeue(id, afterMilliseconds: number)
        case .touch: .touch(id)
        case .close: .close
        case .nop: .nop
        case .publish: .publish(topic)
        case .multiPublish: .multiPublish(topic)
        case .deferredPublish: .deferredPublish(topic, afterMilliseconds: number)
        }
    }

    private func anyName(_ random: inout SeededGenerator) -> String {
        let letters = Array("abcXYZ019._-")
        let stem = String(
            (0..<Int.random(in: 1...54, using: &random)).map { _ in
                letters.randomElement(using: &random)!
            })
        return Bool.random(using: &random) ? stem + "#ephemeral" : stem
    }
}
