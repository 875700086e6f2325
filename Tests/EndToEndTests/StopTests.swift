import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A processor that receives SIGTERM` {
    @Test(arguments: ["process", "serve"])
    func `commits and publishes the received plays and exits with 0`(
        command: String
    ) throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        var nsqd: BuiltProcess?
        let (processor, address): (BuiltProcess, String)
        if command == "serve" {
            (processor, address) = try BuiltProcess.listening([
                "serve", "--tcp-address=127.0.0.1:0", "--store=\(store)",
            ])
        } else {
            let (broker, brokerAddress) = try BuiltProcess.broker()
            (nsqd, address) = (broker, brokerAddress)
            processor = try BuiltProcess([
                "process", "--nsqd-tcp-address=\(address)", "--store=\(store)",
            ])
        }
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=50000", "--rate=10000",
        ])
        // Most of the counted plays are not due for publishing at this time.
        #expect(try eventually { try counted(in: store).plays >= 5_000 })
        let asked = Date()
        processor.send(SIGTERM)
        #expect(processor.status() == 0, "\(processor.lines(of: .standardError))")
        let stored = try counted(in: store)
        #expect(stored.plays >= 5_000)
        // If the machine stalls meanwhile, the timeout of the stop may end the publishing.
        let isTimeUp = Date().timeIntervalSince(asked) >= 3
        #expect(stored.published == stored.counts || isTimeUp)
        #expect(
            processor.line(containing: "counted \(stored.plays) plays") != nil,
            "\(processor.lines(of: .standardError))")
        producer.send(SIGKILL)
        nsqd?.send(SIGTERM)
    }

    @Test func `does not wait for a client that stops reading`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        // `exec` keeps the pid; standard output becomes a pipe that nobody reads, which fills up.
        let output = try NamedPipe(folder.path("output"))
        let processor = try BuiltProcess(
            [
                "-c",
                "exec \"$0\" process --nsqd-tcp-address=\(address) --store=\(store) "
                    + "--realtime-below=100000 --videos-per-call=1 >\(output.path)",
                BuiltProcess.tally.path,
            ], executable: URL(filePath: "/bin/sh"))
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=20000", "--rate=10000",
        ])
        #expect(producer.status() == 0)
        #expect(processor.line(containing: "the client reads too slowly") != nil)
        #expect(try eventually { try counted(in: store).plays == 20_000 })
        processor.send(SIGTERM)
        #expect(processor.status() == 0)
        #expect(processor.line(containing: "not all counts were published") != nil)
        output.close()
        let stored = try counted(in: store)
        #expect(stored.plays == 20_000)
        // The next processor publishes the remaining counts to a client that reads.
        let next = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--store=\(store)",
        ])
        #expect(try eventually { try counted(in: store).published == stored.counts })
        next.send(SIGTERM)
        #expect(next.status() == 0)
        broker.send(SIGTERM)
    }
}

@Suite(.blocking) struct `tally counts` {
    @Test func `prints a table with the most played videos first`() throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let demo = try BuiltProcess([
            "demo", "--tcp-address=127.0.0.1:0", "--plays=2000", "--videos=50",
            "--store=\(store)",
        ])
        _ = demo.status()
        let table = try BuiltProcess(["counts", "--store=\(store)", "--top=3"])
        #expect(table.status() == 0)
        let lines = table.lines(of: .standardOutput)
        #expect(lines.count == 6)
        #expect(lines.first?.hasPrefix("video") == true)
        #expect(lines.last == "50 videos, 2000 plays")
        let plays = lines[1...3].map { Int($0.split(separator: " ")[1])! }
        #expect(plays == plays.sorted(by: >))
        #expect(try counted(in: store).plays == 2_000)
    }

    @Test func `fails if there is no store`() throws {
        let folder = try TemporaryFolder()
        let look = try BuiltProcess(["counts"], directory: folder.url)
        #expect(look.status() == 1)
        #expect(look.lines(of: .standardError).first?.contains("no such file") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == [])
    }
}
