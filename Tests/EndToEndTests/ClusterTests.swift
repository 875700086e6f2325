import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `tally cluster` {
    /// A node in the output of `--json`.
    private struct Node: Decodable, Equatable {
        var name: String
        var kind: String
        var state: String
        var tcp_address: String
        var http_address: String
    }

    private struct Nodes: Decodable {
        var nodes: [Node]

        init(_ line: String) throws {
            self = try JSONDecoder().decode(Nodes.self, from: Data(line.utf8))
        }

        func callAsFunction(_ name: String) -> Node { nodes.first { $0.name == name }! }
    }

    /// A running cluster.
    private final class Cluster {
        let process: BuiltProcess
        let control: String
        let nodes: Nodes

        init(_ words: [String]) throws {
            process = try BuiltProcess(
                ["cluster", "--control-address=127.0.0.1:0", "--json"] + words)
            let mark = "--control-address="
            let line = try #require(process.line(containing: mark))
            control = String(line[line.range(of: mark)!.upperBound...].prefix { $0 != "," })
            nodes = try Nodes(#require(process.line(containing: "nodes", of: .standardOutput)))
        }

        func run(_ words: String...) throws -> (status: Int32?, output: String, error: String) {
            let process = try BuiltProcess(
                ["cluster"] + words + ["--control-address=\(control)", "--json"])
            return (
                process.status(), process.lines(of: .standardOutput).joined(),
                process.lines(of: .standardError).joined(separator: "\n")
            )
        }

        func stop() {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }

    /// Returns the HTTP addresses of the nsqds that an nsqlookupd knows.
    private func registered(at lookupd: Node) throws -> Set<String> {
        let body = try ReceivedResponse(to: "GET", "/nodes", at: lookupd.http_address).body
        let json = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
        let producers = json?["producers"] as? [[String: Any]] ?? []
        return Set(producers.map { "\($0["broadcast_address"]!):\($0["http_port"]!)" })
    }

    @Test func `starts nsqds that register at the nsqlookupds, and stops with a signal`() throws {
        let cluster = try Cluster(["--nsqd=3", "--lookupd=2"])
        #expect(
            cluster.nodes.nodes.map(\.name)
                == ["lookupd-1", "lookupd-2", "nsqd-1", "nsqd-2", "nsqd-3"])
        #expect(cluster.nodes.nodes.allSatisfy { $0.state == "running" })
        let nsqds = Set(cluster.nodes.nodes.filter { $0.kind == "nsqd" }.map(\.http_address))
        for lookupd in cluster.nodes.nodes where lookupd.kind == "nsqlookupd" {
            #expect(try eventually { try registered(at: lookupd) == nsqds })
        }
        cluster.stop()
    }

    @Test(arguments: [0, 1])
    func `starts an nsqadmin that shows its nsqds`(lookupds: Int) throws {
        let cluster = try Cluster(["--nsqd=2", "--lookupd=\(lookupds)", "--admin"])
        let line = try #require(cluster.process.line(containing: "admin: http://"))
        let address = try #require(line.firstMatch(of: /http:\/\/([0-9.:]+)\/topics/)?.1)
        let nsqds = Set(cluster.nodes.nodes.filter { $0.kind == "nsqd" }.map(\.http_address))
        #expect(
            try eventually {
                let body = try ReceivedResponse(to: "GET", "/api/nodes", at: address).body
                return nsqds.allSatisfy { body.contains(String($0.split(separator: ":")[1])) }
            })
        cluster.stop()
    }

    @Test func `stops and starts one node at its addresses, with its messages`() throws {
        let folder = try TemporaryFolder()
        let data = folder.url.appending(component: "data").path
        let cluster = try Cluster(["--nsqd=2", "--lookupd=1", "--data-path=\(data)"])
        let node = cluster.nodes("nsqd-2")
        #expect(
            try ReceivedResponse(
                to: "POST", "/pub?topic=plays", at: node.http_address, body: "one".utf8
            )
            .status
                == 200)
        let stopped = try cluster.run("stop", "nsqd-2")
        #expect(stopped.status == 0)
        #expect(try Nodes(stopped.output)("nsqd-2").state == "stopped")
        #expect(throws: (any Error).self) { try BlockingSocket(to: node.tcp_address) }
        #expect(try eventually { try registered(at: cluster.nodes("lookupd-1")).count == 1 })
        #expect(try Nodes(cluster.run("list").output)("nsqd-1").state == "running")

        let started = try cluster.run("start", "nsqd-2")
        #expect(try Nodes(started.output)("nsqd-2") == node)
        #expect(
            try ReceivedResponse(to: "GET", "/stats?topic=plays", at: node.http_address).body
                .contains("depth: 1"))
        #expect(try eventually { try registered(at: cluster.nodes("lookupd-1")).count == 2 })

        let lookupd = cluster.nodes("lookupd-1")
        #expect(try Nodes(cluster.run("restart", "lookupd-1").output)("lookupd-1") == lookupd)
        cluster.stop()
    }

    @Test func `refuses changes that are not possible`() throws {
        let cluster = try Cluster(["--nsqd=1", "--lookupd=0"])
        let unknown = try cluster.run("stop", "nsqd-2")
        #expect(unknown.status == 1)
        #expect(unknown.error == "Error: unknown node 'nsqd-2': expected one of nsqd-1")
        #expect(try cluster.run("start", "nsqd-1").error == "Error: nsqd-1 is running")
        #expect(
            try ReceivedResponse(
                to: "POST", "/nodes/nsqd-1/stop", at: cluster.control,
                headers: "Host: example.com\r\n"
            ).status == 421)
        #expect(
            try ReceivedResponse(
                to: "POST", "/nodes/nsqd-1/stop", at: cluster.control,
                headers: "Host: localhost\r\nOrigin: http://example.com\r\n"
            ).status == 403)
        #expect(try Nodes(cluster.run("list").output)("nsqd-1").state == "running")
        cluster.stop()
    }

    @Test func `executes the lines on standard input`() throws {
        let script = #"""
            printf 'list\nstop nsqd-1\nexplode\nlist\nquit\n' |
            "$0" cluster --nsqd=1 --lookupd=0 --control-address=127.0.0.1:0
            """#
        let process = try BuiltProcess(
            ["-c", script, BuiltProcess.tally.path], executable: URL(filePath: "/bin/bash"))
        #expect(process.status() == 0)
        let states = process.lines(of: .standardOutput).filter { $0.hasPrefix("nsqd-1") }
            .map { $0.split(separator: " ")[1] }
        #expect(states == ["running", "running", "stopped", "stopped"])
        #expect(
            process.lines(of: .standardError).contains("unknown command 'explode': type help"))
    }

    @Test(arguments: [
        (["--nsqd=0"], 64), (["--nsqd=101"], 64), (["--lookupd=21"], 64),
        (["--nsqd-port=65530"], 64),
        (["--nsqd-port=4150", "--lookupd-port=4160"], 64), (["--tcp-address=127.0.0.1:1"], 64),
        (["--data-path=/proc/none"], 1),
        (["--control-address=0.0.0.0:0"], 1), (["--max-rdy-count=x"], 64),
        (["stop", "nsqd-1", "--control-address=127.0.0.1:1"], 1), (["stop"], 64),
    ])
    func `explains a wrong command line`(words: [String], status: Int) throws {
        let control =
            words.contains { $0.hasPrefix("--control") } ? [] : ["--control-address=127.0.0.1:0"]
        let process = try BuiltProcess(["cluster"] + words + control)
        #expect(process.status() == Int32(status))
        #expect(process.lines(of: .standardError).contains { $0.hasPrefix("Error: ") })
    }
}
