import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The page of a running process` {
    @Test func `is named in the log and shows the counts`() throws {
        let folder = try TemporaryFolder()
        let (serve, address) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--page-address=127.0.0.1:0",
            "--store=\(folder.path("counts.sqlite"))",
        ])
        let line = try #require(serve.line(containing: "the counts are shown at http://127.0.0.1:"))
        let page = try pageAddress(in: line)
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=2000", "--videos=60",
        ])
        #expect(producer.status() == 0)
        #expect(try eventually { try videoCount(at: page) == 60 })
        #expect(try get("/videos", at: page).body.hasPrefix("<!doctype html>"))
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
    }

    private func get(_ target: String, at page: String) throws -> ReceivedResponse {
        try ReceivedResponse(to: "GET", target, at: page, headers: "Host: localhost\r\n")
    }

    private func videoCount(at page: String) throws -> Int? {
        try get("/api/videos", at: page).json()["total"] as? Int
    }

    @Test(arguments: ["serve", "process"])
    func `fails with one line if its port is in use`(command: String) throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let nsqd =
            command == "serve" ? "--tcp-address=127.0.0.1:0" : "--nsqd-tcp-address=\(address)"
        let second = try BuiltProcess(
            [
                command, nsqd, "--page-address=\(address)", "--log-level=error",
                "--store=\(folder.path("counts.sqlite"))",
            ])
        #expect(second.status() == 1)
        let printed = second.lines(of: .standardError)
        #expect(printed.count == 1, "\(printed)")
        #expect(
            printed.first?.contains("cannot start the page at \(address): address already in use")
                == true)
        broker.send(SIGTERM)
    }

    @Test func `is not started with --page-address=none`() throws {
        let folder = try TemporaryFolder()
        let (serve, _) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--page-address=none",
            "--store=\(folder.path("counts.sqlite"))",
        ])
        #expect(serve.line(containing: "nsq_tail") != nil)
        #expect(!serve.linesSoFar(of: .standardError).contains { $0.contains("page") })
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
        #expect(
            !serve.lines(of: .standardError).contains { $0.contains("the counts are shown at") })
    }

    @Test func `shows a live demo and does not change its verdict`() throws {
        let demo = try BuiltProcess([
            "demo", "--live", "--over=3s", "--plays=3000", "--json", "--tcp-address=127.0.0.1:0",
            "--page-address=127.0.0.1:0",
        ])
        #expect(demo.line(containing: "the page stays at http://127.0.0.1:") != nil)
        let line = try #require(demo.line(containing: "verdict", of: .standardOutput))
        let verdict = try VerdictJSON(json: line.utf8)
        #expect(verdict.plays_counted == 3_000)
        // The plays are spread over the time.
        #expect(verdict.seconds > 2.5)
        #expect(verdict.rules.filter { !$0.holds }.isEmpty)
        demo.send(SIGINT)
        #expect(demo.status() == 0)
    }
}

/// Returns the address in a line that ends with the URL of the page.
func pageAddress(in line: String) throws -> String {
    let url = try #require(line.split(separator: " ").last.flatMap { URL(string: "\($0)") })
    return "\(try #require(url.host())):\(try #require(url.port))"
}
