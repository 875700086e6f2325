import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking, .disabled(if: RunningNSQD.isForeign, "nsqd has no limit of attempts"))
struct `The command failed` {
    @Test func `lists, retries and discards`() throws {
        let flags = [
            "nsqd", "--memory-only", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
        ]
        let (broker, http) = try BuiltProcess.listening(
            flags + ["--max-attempts=1"], mark: "HTTP: listening on ")
        let line = try #require(broker.line(containing: "TCP: listening on "))
        let tcp = String(line.split(separator: " ").last!)
        let address = "--nsqd-http-address=\(http)"
        func run(_ words: String...) throws -> (status: Int32?, output: [String]) {
            let process = try BuiltProcess(["failed"] + words + [address])
            return (process.status(), process.lines(of: .standardOutput))
        }
        #expect(try run("list").output == ["FAILED SET  MESSAGES"])
        #expect(try run("discard", "plays", "count", "--all").output == ["discarded 0 messages"])
        #expect(try run("retry", "plays", "count", "--all").status == 1)
        #expect(try run("retry", "plays", "count").status == 64)
        #expect(try run("list", "plays").status == 64)
        #expect(try run("retry", "plays", "count", "x").status == 64)
        #expect(try run("list", "a b", "count").status == 64)

        let consumer = try BlockingClient(connectingTo: tcp)
        #expect(try consumer.ask("SUB plays count") == "OK")
        try consumer.send(Array("RDY 1\n".utf8))
        let producer = try BlockingClient(connectingTo: tcp)
        for body in ["one", "two", "three"] {
            #expect(try producer.ask("PUB plays", Array(body.utf8)) == "OK")
            let message = try #require(try consumer.message(timeout: longestWait))
            try consumer.tell("REQ", message, " 0")
        }
        #expect(
            try eventually { try run("list").output.last?.hasSuffix(" 3") == true },
            "all messages have failed")
        let rows = try run("list", "plays", "count").output
        #expect(rows.count == 4 && rows[2].hasSuffix(" two"))
        let id = String(rows[2].prefix { $0 != " " })
        #expect(
            try run("retry", "plays", "count", id).output == ["retried 1 message"])
        let retried = try #require(try consumer.message(timeout: longestWait))
        #expect(retried.body == "two")
        #expect(try run("discard", "plays", "count", "--all").output == ["discarded 2 messages"])
        #expect(try run("discard", "plays", "count", id).status == 1)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}
