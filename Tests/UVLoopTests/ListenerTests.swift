import Foundation
import TestKit
import Testing
import UVLoop

@Suite struct `A listener` {
    @Test func `knows the port the kernel chose`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            #expect(listener.address.host == "127.0.0.1")
            #expect(listener.address.port > 0)
            listener.close()
        }
    }

    @Test func `refuses an address in use`() throws {
        try onLoop { loop in
            let first = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            #expect(throws: UVError.addressInUse) {
                try Listener(on: loop, host: "127.0.0.1", port: first.address.port) { _ in }
            }
            first.close()
        }
    }

    @Test func `on a path takes connections, and takes its file along`() throws {
        let folder = try TemporaryFolder()
        let path = folder.url.appending(component: "a.sock").path
        try onLoop { loop in
            let collector = Collector()
            var name: String?
            let listener = try Listener(on: loop, at: .unix(path: path)) { stream in
                name = stream.peerName
                stream.noDelay(true)
                stream.reader = collector
                stream.startReading()
                stream.send("hello")
            }
            #expect(listener.endpoint == .unix(path: path))
            let client = try LocalClient(path)
            client.send("play")
            collector.onBytes = { stream in
                stream.close()
                listener.close { #expect(!FileManager.default.fileExists(atPath: path)) }
            }
            loop.run()
            #expect(collector.bytes == Array("play".utf8))
            #expect(name == "@")
            #expect(client.receive() == "hello")
        }
    }

    @Test func `leaves a file that is in its way where it is`() throws {
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
    func `says why a path is none`(path: String, name: String) throws {
        try onLoop { loop in
            #expect {
                try Listener(on: loop, at: .unix(path: path)) { _ in }
            } throws: { error in
                (error as? UVError)?.name == name
            }
        }
    }

    @Test func `listens by name`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "localhost", port: 0) { _ in }
            #expect(listener.address.port > 0)
            listener.close()
        }
    }
}
