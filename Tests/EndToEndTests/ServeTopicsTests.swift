import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The topics of tally serve` {
    private func serve(page: String, _ words: [String] = []) throws -> (BuiltProcess, String) {
        let folder = try TemporaryFolder()
        let process = try BuiltProcess(
            [
                "serve", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
                "--page-address=\(page)", "--store=\(folder.path("counts.sqlite"))",
            ] + words)
        let line = try #require(process.line(containing: "the topics are shown at "))
        let port = try #require(line.firstMatch(of: /:([0-9]+)\/topics/)?.1)
        return (process, "127.0.0.1:\(port)")
    }

    private func send(
        _ method: String, _ target: String, _ body: String = "", at address: String
    ) throws -> ReceivedResponse {
        try ReceivedResponse(
            to: method, target, at: address, headers: "Host: 127.0.0.1\r\n", body: body.utf8)
    }

    @Test func `are shown and changed at the address of the page`() throws {
        let (process, address) = try serve(page: "127.0.0.1:0")
        for path in ["/topics", "/topics/plays", "/nodes", "/topics.js"] {
            #expect(try send("GET", path, at: address).status == 200)
        }
        #expect(try send("GET", "/", at: address).headers["location"] == "/videos")
        #expect(try send("GET", "/config/log_level", at: address).status == 404)
        let created = try send("POST", "/api/topics", #"{"topic":"new"}"#, at: address)
        #expect(created.status == 200)
        #expect(
            try eventually {
                try send("GET", "/api/topics", at: address).body.contains(#""new""#)
            })
        let session = try send("GET", "/api/live/session", at: address).json()
        #expect(session["has_videos"] as? Bool == true)
        #expect(session["has_jobs"] as? Bool == false)
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }

    @Test func `are read only if other machines reach the page`() throws {
        let (process, address) = try serve(page: "0.0.0.0:0")
        #expect(try send("GET", "/api/topics", at: address).status == 200)
        let created = try send("POST", "/api/topics", #"{"topic":"new"}"#, at: address)
        #expect(created.summary == #"403 {"message":"FORBIDDEN"}"#)
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }
}
