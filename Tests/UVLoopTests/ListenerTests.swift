import Foundation
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A listener` {
    @Test func `reports the port that the kernel has chosen`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            #expect(listener.address.host == "127.0.0.1")
            #expect(listener.address.port > 0)
            listener.close()
        }
    }

    private static let hasIPv6 =
        (try? String(contentsOfFile: "/proc/net/if_inet6", encoding: .utf8))?.isEmpty == false

    /// nsqd listens the same way, because Go does.
    @Test(.enabled(if: hasIPv6, "the machine has no IPv6"), arguments: ["", "0.0.0.0"])
    func `on all interfaces accepts IPv4 and IPv6, and names IPv4 clients by their IPv4 address`(
        host: String
    ) throws {
        try onLoop { loop in
            var names: Set<String> = []
            var listener: Listener?
            listener = try Listener(on: loop, host: host, port: 0) { stream in
                names.insert(stream.peerAddress?.host ?? "")
                stream.close()
                if names.count == 2 { listener?.close() }
            }
            let port = try #require(listener).address.port
            let clients = ["127.0.0.1", "::1"].map { host in
                Stream.connect(to: SocketAddress(host: host, port: port), on: loop) { result in
                    (try? result.get())?.close()
                }
            }
            loop.run()
            #expect(clients.count == 2)
            #expect(names == ["127.0.0.1", "::1"])
        }
    }

    @Test func `at a name listens on its IPv4 address, as in Go`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "localhost", port: 0) { _ in }
            #expect(listener.address.host == "127.0.0.1")
            listener.close()
        }
    }

    @Test func `accepts 64 connections per loop iteration, and the others later`() throws {
        let count = 300
        var accepted: [Int: Int] = [:]
        var listener: Listener?
        try onLoop { loop in
            listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { stream in
                accepted[loop.iteration, default: 0] += 1
                stream.close()
                if accepted.values.reduce(0, +) == count { listener?.close() }
            }
            let address = try #require(listener).address
            // The kernel completes all connections before the loop accepts the first one.
            for _ in 1...count {
                Stream.connect(to: address, on: loop) { (try? $0.get())?.close() }
            }
        }
        #expect(accepted.values.reduce(0, +) == count)
        // A portion has 64 connections. One more can count for the same iteration: the first
        // connection of the next portion.
        #expect(accepted.values.max()! <= 65)
    }

    @Test func `throws when the address is in use`() throws {
        try onLoop { loop in
            let first = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            #expect(throws: UVError.addressInUse) {
                try Listener(on: loop, host: "127.0.0.1", port: first.address.port) { _ in }
            }
            first.close()
        }
    }

    @Test func `accepts connections on a path, and removes its file when closed`() throws {
        let folder = try TemporaryFolder()
        let path = folder.url.appending(component: "a.sock").path
        try onLoop { loop in
            let collector = Collector()
            var name: String?
            let listener = try Listener(on: loop, at: .unix(path: path)) { stream in
                name = stream.peerName
                stream.setNoDelay(true)
                stream.reader = collector
                stream.startReading()
                stream.send("hello")
            }
            #expect(listener.endpoint == .unix(path: path))
            let client = try BlockingSocket(to: path)
            client.send("play")
            collector.onBytes = { stream in
                stream.close()
                listener.close { #expect(!FileManager.default.fileExists(atPath: path)) }
            }
            loop.run()
            #expect(collector.bytes == Array("play".utf8))
            #expect(name == "@")
            #expect(client.receive(5) == Array("hello".utf8))
        }
    }

    @Test func `does not replace an existing file at its path`() throws {
        let folder = try TemporaryFolder()
        let path = folder.url.appending(component: "a.sock").path
        try Data("mine".utf8).write(to: URL(filePath: path))
        try onLoop { loop in
            #expect(throws: UVError.addressInUse) {
                try Listener(on: loop, at: .unix(path: path)) { _ in }
            }
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
    }

    @Test(arguments: [
        ("/no/such/folder/a.sock", "ENOENT"),
        (String(repeating: "x", count: 200), "ENAMETOOLONG"),
    ])
    func `throws a specific error for an invalid path`(path: String, name: String) throws {
        try onLoop { loop in
            #expect {
                try Listener(on: loop, at: .unix(path: path)) { _ in }
            } throws: { error in
                (error as? UVError)?.name == name
            }
        }
    }

    @Test func `listens on a host name`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "localhost", port: 0) { _ in }
            #expect(listener.address.port > 0)
            listener.close()
        }
    }
}
