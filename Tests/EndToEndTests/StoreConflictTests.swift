import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `Two processors of one channel` {
    @Test func `with different stores log a warning`() throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let mark = "HTTP: listening on "
        let line = try #require(broker.line(containing: mark))
        let http = line[try #require(line.range(of: mark)).upperBound...]
        let processors = try ["a.sqlite", "b.sqlite"].map { store in
            try BuiltProcess([
                "process", "--nsqd-tcp-address=\(address)", "--nsqd-http-address=\(http)",
                "--store=\(folder.path(store))", "--page-address=none",
            ])
        }
        for processor in processors {
            #expect(processor.line(containing: "has consumers with other stores") != nil)
        }
        for process in processors + [broker] {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }

    @Test func `with different stores are noticed by the broker of one`() throws {
        let folder = try TemporaryFolder()
        let (serve, address) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--page-address=none", "--store=\(folder.path("a.sqlite"))",
        ])
        let processor = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--store=\(folder.path("b.sqlite"))",
            "--page-address=none",
        ])
        #expect(serve.line(containing: "has consumers with other stores") != nil)
        for process in [processor, serve] {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }
}
