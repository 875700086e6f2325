import BrokerCore
import NSQWire
import Testing

@Suite struct `An invalid command` {
    let broker = TestBroker()

    /// Errors for commands before SUB, which close the connection.
    @Test(arguments: [
        ("\n", "E_INVALID invalid command "),
        ("FOO\n", "E_INVALID invalid command FOO"),
        ("FOO bar baz\n", "E_INVALID invalid command FOO"),
        ("pub plays\n", "E_INVALID invalid command pub"),
        (" PUB plays\n", "E_INVALID invalid command "),
        ("PUB\tplays\n", "E_INVALID invalid command PUB\tplays"),
        ("PUB\n", "E_INVALID PUB insufficient number of parameters"),
        ("PUB \n", "E_BAD_TOPIC PUB topic name \"\" is not valid"),
        ("PUB  plays\n", "E_BAD_TOPIC PUB topic name \"\" is not valid"),
        ("PUB pl$ys\n", "E_BAD_TOPIC PUB topic name \"pl$ys\" is not valid"),
        ("MPUB\n", "E_INVALID MPUB insufficient number of parameters"),
        ("MPUB a\"b\n", "E_BAD_TOPIC E_BAD_TOPIC MPUB topic name \"a\\\"b\" is not valid"),
        ("DPUB plays\n", "E_INVALID DPUB insufficient number of parameters"),
        ("DPUB plays x\n", "E_INVALID DPUB could not parse timeout x"),
        ("DPUB plays -1\n", "E_INVALID DPUB could not parse timeout -1"),
        ("DPUB #ephemeral 1\n", "E_BAD_TOPIC DPUB topic name \"#ephemeral\" is not valid"),
        ("DPUB plays 3600001\n", "E_INVALID DPUB timeout 3600001 out of range 0-3600000"),
        (
            "DPUB plays 99999999999999999999\n",
            "E_INVALID DPUB timeout 9223372036854775807 out of range 0-3600000"
        ),
        ("SUB\n", "E_INVALID SUB insufficient number of parameters"),
        ("SUB plays\n", "E_INVALID SUB insufficient number of parameters"),
        ("SUB pl/ys count\n", "E_BAD_TOPIC SUB topic name \"pl/ys\" is not valid"),
        ("SUB plays co,unt\n", "E_BAD_CHANNEL SUB channel name \"co,unt\" is not valid"),
        ("AUTH x\n", "E_INVALID AUTH invalid number of parameters"),
        ("RDY 1\n", "E_INVALID cannot RDY in current state"),
        ("FIN 0123456789abcdef\n", "E_INVALID cannot FIN in current state"),
        ("REQ 0123456789abcdef 0\n", "E_INVALID cannot REQ in current state"),
        ("TOUCH 0123456789abcdef\n", "E_INVALID cannot TOUCH in current state"),
        ("CLS\n", "E_INVALID cannot CLS in current state"),
    ])
    func `returns nsqd's error before SUB`(line: String, error: String) {
        let client = broker.client()
        client.send(text: line)
        #expect(client.take() == [.error(error)])
        #expect(client.isDisconnected)
        #expect(broker.statistics.topics == [], "what is refused creates nothing")
    }

    @Test(arguments: [
        ("SUB plays count\n", "E_INVALID cannot SUB in current state"),
        ("IDENTIFY\n", "E_INVALID cannot IDENTIFY in current state"),
        ("AUTH\n", "E_INVALID cannot AUTH in current state"),
        ("RDY -1\n", "E_INVALID RDY could not parse count -1"),
        ("RDY 1.5\n", "E_INVALID RDY could not parse count 1.5"),
        ("RDY 2501\n", "E_INVALID RDY count 2501 out of range 0-2500"),
        (
            "RDY 18446744073709551617\n",
            "E_INVALID RDY count 9223372036854775807 out of range 0-2500"
        ),
        ("FIN\n", "E_INVALID FIN insufficient number of params"),
        ("FIN 0123\n", "E_INVALID invalid message ID"),
        ("FIN 0123456789abcdef0\n", "E_INVALID invalid message ID"),
        ("REQ 0123456789abcdef\n", "E_INVALID REQ insufficient number of params"),
        ("REQ 0123456789abcde 0\n", "E_INVALID invalid message ID"),
        ("REQ 0123456789abcdef -5\n", "E_INVALID REQ could not parse timeout -5"),
        ("TOUCH\n", "E_INVALID TOUCH insufficient number of params"),
        ("TOUCH 0\n", "E_INVALID invalid message ID"),
    ])
    func `returns nsqd's error after SUB`(line: String, error: String) {
        let client = broker.consumer()
        client.send(text: line)
        #expect(client.take() == [.error(error)])
        #expect(client.isDisconnected)
    }

    @Test(arguments: [
        ("CLS\n", "E_INVALID cannot CLS in current state"),
        ("SUB plays count\n", "E_INVALID cannot SUB in current state"),
        ("IDENTIFY\n", "E_INVALID cannot IDENTIFY in current state"),
    ])
    func `returns nsqd's error after CLS`(line: String, error: String) {
        let client = broker.consumer()
        client.send(text: "CLS\n")
        client.send(text: line)
        #expect(client.take() == [.response("CLOSE_WAIT"), .error(error)])
        #expect(client.isDisconnected)
    }

    /// The broker checks the size of a body as soon as the size has arrived, before the body.
    @Test(
        arguments: [
            ("PUB plays\n", 0, "E_BAD_MESSAGE PUB invalid message body size 0"),
            ("PUB plays\n", -1, "E_BAD_MESSAGE PUB invalid message body size -1"),
            ("PUB plays\n", .min, "E_BAD_MESSAGE PUB invalid message body size -2147483648"),
            ("PUB plays\n", 1_048_577, "E_BAD_MESSAGE PUB message too big 1048577 > 1048576"),
            ("PUB plays\n", .max, "E_BAD_MESSAGE PUB message too big 2147483647 > 1048576"),
            ("DPUB plays 5\n", 0, "E_BAD_MESSAGE DPUB invalid message body size 0"),
            ("DPUB plays 5\n", 1_048_577, "E_BAD_MESSAGE DPUB message too big 1048577 > 1048576"),
            ("MPUB plays\n", 0, "E_BAD_BODY MPUB invalid body size 0"),
            ("MPUB plays\n", 5_242_881, "E_BAD_BODY MPUB body too big 5242881 > 5242880"),
            ("IDENTIFY\n", 0, "E_BAD_BODY IDENTIFY invalid body size 0"),
            ("IDENTIFY\n", 65_537, "E_BAD_BODY IDENTIFY body too big 65537 > 65536"),
            ("IDENTIFY\n", 5_242_881, "E_BAD_BODY IDENTIFY body too big 5242881 > 5242880"),
            ("AUTH\n", -7, "E_BAD_BODY AUTH invalid body size -7"),
            ("AUTH\n", 65_537, "E_BAD_BODY AUTH body too big 65537 > 65536"),
            ("AUTH\n", 5_242_881, "E_BAD_BODY AUTH body too big 5242881 > 5242880"),
        ] as [(String, Int32, String)])
    func `returns nsqd's error for a body of invalid size`(line: String, size: Int32, error: String)
    {
        let client = broker.client()
        var bytes = Array(line.utf8)
        bytes.append(bigEndian: size)
        client.send(bytes)
        #expect(client.take() == [.error(error)])
        #expect(client.isDisconnected)
        // MPUB creates its topic before it reads the size.
        #expect(broker.statistics.topics.count == (line.hasPrefix("MPUB") ? 1 : 0))
    }

    @Test func `prevents the execution of the commands behind it`() {
        let client = broker.client()
        client.send(text: "NOP\nBAD\nPUB plays\n\0\0\0\u{1}x")
        #expect(client.take() == [.error("E_INVALID invalid command BAD")])
        #expect(broker.statistics.topics == [])
    }

    @Test func `closes the connection without an error frame if its line is too long`() {
        let client = broker.client()
        client.send(text: "FOO " + String(repeating: "x", count: 16_379) + "\n")
        #expect(client.take().count == 1, "16,384 bytes with the newline are parsed")

        let other = broker.client()
        other.send(text: "FOO " + String(repeating: "x", count: 16_380) + "\n")
        #expect(other.take() == [])
        #expect(other.isDisconnected)
    }

    @Test func `returns E_AUTH_DISABLED to AUTH if authorization is disabled`() {
        let client = broker.client()
        client.send(.authenticate, body: Array("secret".utf8))
        #expect(client.take() == [.error("E_AUTH_DISABLED AUTH disabled")])
        #expect(client.isDisconnected)
    }

    @Test func `is quoted byte for byte in its error`() {
        let client = broker.client()
        client.send([0xff, 0x00, 0x7f] + Array("\r\n".utf8))
        #expect(
            client.take().map(\.description) == ["E_INVALID invalid command \u{fffd}\0\u{7f}"])
    }
}
