import Foundation
import PostgreSQL
import TestKit
import TestTraits
import Testing
import UVLoop

/// The environment variable `TALLY_POSTGRESQL` names the folder with PostgreSQL's programs.
@Suite(.blocking, .enabled(if: RunningPostgreSQL.isAvailable, "set TALLY_POSTGRESQL"))
struct `Processors with one database` {
    @Test func `count exactly and publish on when one of them is killed`() throws {
        let server = try RunningPostgreSQL()
        let (nsqd, address) = try BuiltProcess.broker()
        let first = try process(address, server)
        #expect(first.line(containing: "this process publishes to stdout") != nil)
        let second = try process(address, server)
        #expect(second.line(containing: "counting plays") != nil)
        let early = try produce(address, plays: 3_000, rate: 2_000, runID: 1)
        #expect(early.status() == 0)
        let late = try produce(address, plays: 3_000, rate: 2_000, runID: 2)
        // The same plays again.
        let again = try produce(address, plays: 3_000, rate: 2_000, runID: 1)
        // The processes that publish the plays still run.
        #expect(eventually { totals(of: [first]).latest.values.reduce(0, +) > 3_000 })
        first.send(SIGKILL)
        #expect(first.status() == -SIGKILL)
        #expect(late.status() == 0 && again.status() == 0)
        #expect(second.line(containing: "this process publishes to stdout") != nil)
        #expect(
            eventually { totals(of: [first, second]).latest.values.reduce(0, +) >= 6_000 })
        second.send(SIGTERM)
        #expect(second.status() == 0, "\(second.lines(of: .standardError))")
        let told = totals(of: [first, second])
        #expect(told.latest.values.reduce(0, +) == 6_000)
        let stored = try counted(in: server.url())
        #expect(stored.counts == told.latest)
        #expect(stored.published == told.latest)
        #expect(told.decreases.prefix(5) == [])
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    @Test func `publish no older total after one of them was suspended`() throws {
        let server = try RunningPostgreSQL()
        let (nsqd, address) = try BuiltProcess.broker()
        let first = try process(address, server)
        #expect(first.line(containing: "this process publishes to stdout") != nil)
        let second = try process(address, server)
        #expect(second.line(containing: "counting plays") != nil)
        let early = try produce(address, plays: 2_000, rate: 2_000, runID: 5)
        #expect(first.line(containing: "play_count", of: .standardOutput) != nil)
        first.send(SIGSTOP)
        #expect(early.status() == 0)
        #expect(second.line(containing: "this process publishes to stdout") != nil)
        // nsqd keeps the messages in flight of the suspended process.
        let late = try produce(address, plays: 2_000, rate: 2_000, runID: 6)
        #expect(late.status() == 0)
        #expect(second.line(containing: "play_count", of: .standardOutput) != nil)
        first.send(SIGCONT)
        #expect(first.line(containing: "no longer publishes to stdout") != nil)
        #expect(
            eventually { totals(of: [first, second]).latest.values.reduce(0, +) >= 4_000 })
        for processor in [first, second] {
            processor.send(SIGTERM)
            #expect(processor.status() == 0, "\(processor.lines(of: .standardError))")
        }
        let told = totals(of: [first, second])
        #expect(told.latest.values.reduce(0, +) == 4_000)
        #expect(told.decreases.prefix(5) == [])
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    @Test func `report plays that were not committed when they stop`() throws {
        let server = try RunningPostgreSQL()
        let (nsqd, address) = try BuiltProcess.broker()
        let processor = try process(address, server)
        #expect(processor.line(containing: "counting plays") != nil)
        let loop = try Loop()
        let session = PostgreSQLSession(
            try PostgreSQLConfiguration(url: server.url()), on: loop)
        session.execute(
            PostgreSQLStatement(script: "BEGIN; LOCK TABLE tally.fingerprints")
        ) { _ in loop.stop() }
        loop.run()
        let plays = try produce(address, plays: 200, rate: 2_000, runID: 7)
        #expect(plays.status() == 0)
        // The lock makes the commit fail after 5 s.
        #expect(processor.line(containing: "SQLSTATE 55P03") != nil)
        processor.send(SIGTERM)
        #expect(processor.status() == 1)
        #expect(processor.lines(of: .standardError).last?.contains("cannot use store") == true)
        session.close()
        loop.close()
        let other = try process(address, server)
        #expect(eventually { totals(of: [other]).latest.values.reduce(0, +) >= 200 })
        other.send(SIGTERM)
        #expect(other.status() == 0)
        #expect(totals(of: [other]).latest.values.reduce(0, +) == 200)
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    @Test func `share the work and stop while another one continues`() throws {
        let server = try RunningPostgreSQL()
        let (nsqd, address) = try BuiltProcess.broker()
        let processors = try (0..<3).map { _ in try process(address, server) }
        for processor in processors {
            #expect(processor.line(containing: "counting plays") != nil)
        }
        let plays = try produce(address, plays: 4_000, rate: 2_000, runID: 3)
        for (processor, count) in zip(processors, [1_000, 2_000]) {
            #expect(eventually { totals(of: processors).latest.values.reduce(0, +) >= count })
            processor.send(SIGTERM)
            #expect(processor.status() == 0, "\(processor.lines(of: .standardError))")
        }
        #expect(plays.status() == 0)
        #expect(eventually { totals(of: processors).latest.values.reduce(0, +) >= 4_000 })
        processors[2].send(SIGTERM)
        #expect(processors[2].status() == 0)
        let told = totals(of: processors)
        #expect(told.latest.values.reduce(0, +) == 4_000)
        #expect(told.decreases.prefix(5) == [])
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    @Test func `continue after an outage of the database`() throws {
        let server = try RunningPostgreSQL()
        let (nsqd, address) = try BuiltProcess.broker()
        let processor = try process(address, server)
        #expect(processor.line(containing: "this process publishes to stdout") != nil)
        server.kill()
        let plays = try produce(address, plays: 500, rate: 2_000, runID: 4)
        #expect(plays.status() == 0)
        #expect(processor.line(containing: "plays wait in NSQ until the store works") != nil)
        try server.start()
        #expect(processor.line(containing: "works again") != nil)
        #expect(eventually { totals(of: [processor]).latest.values.reduce(0, +) >= 500 })
        processor.send(SIGTERM)
        #expect(processor.status() == 0)
        #expect(totals(of: [processor]).latest.values.reduce(0, +) == 500)
        let text = processor.lines(of: .standardError).joined()
        #expect(!text.contains(RunningPostgreSQL.password))
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    private func process(_ address: String, _ server: RunningPostgreSQL) throws -> BuiltProcess {
        try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--store=\(server.url())",
            "--freshness=1s",
        ])
    }

    private func produce(
        _ address: String, plays: Int, rate: Int, runID: Int
    ) throws -> BuiltProcess {
        try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=\(plays)", "--rate=\(rate)",
            "--run-id=\(runID)",
        ])
    }

    private struct Totals {
        var latest: [String: Int] = [:]
        var decreases: [String] = []
    }

    /// The totals of the calls until now, in the order of their arrival.
    private func totals(of processors: [BuiltProcess]) -> Totals {
        struct CallJSON: Decodable {
            struct Video: Decodable {
                var video_id: String
                var play_count: Int
            }
            var videos: [Video]
        }
        let lines = processors.flatMap { $0.datedLinesSoFar(of: .standardOutput) }
            .sorted { $0.date < $1.date }
        var totals = Totals()
        for line in lines {
            guard let call = try? CallJSON(json: line.text.utf8) else { continue }
            for video in call.videos {
                let former = totals.latest[video.video_id, default: 0]
                if video.play_count < former {
                    totals.decreases.append("\(video.video_id): \(former), \(video.play_count)")
                }
                totals.latest[video.video_id] = video.play_count
            }
        }
        return totals
    }
}

@Suite(.blocking) struct `A command with a database as its store` {
    @Test func `reports that the database is not reachable, without the password`() throws {
        let port = try BlockingListener().port
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=127.0.0.1:1",
            "--store=postgres://ann:hunter22@127.0.0.1:\(port)/plays",
        ])
        #expect(process.status() == 1)
        let text = process.lines(of: .standardError).joined()
        #expect(text.contains("cannot use store 'postgres://ann@127.0.0.1:\(port)/plays'"))
        #expect(!text.contains("hunter22"))
    }

    @Test func `reports an invalid URL, without the password`() throws {
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=127.0.0.1:1", "--store=postgres://ann:hunter22@[/plays",
        ])
        #expect(process.status() == 1)
        let text = process.lines(of: .standardError).joined()
        #expect(text.contains("invalid --store: invalid PostgreSQL URL"))
        #expect(!text.contains("hunter22"))
    }

    @Test func `ends at a signal while the database does not respond`() throws {
        let (nsqd, address) = try BuiltProcess.broker()
        let database = try BlockingListener()
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)",
            "--store=postgres://ann@127.0.0.1:\(database.port)/plays?connect_timeout=600",
        ])
        let connection = try database.accept()
        process.send(SIGINT)
        #expect(process.status() == 0)
        connection.close()
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    @Test func `is refused if its URL is that of another system`() throws {
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=127.0.0.1:1", "--store=mysql://ann:hunter22@db/plays",
        ])
        #expect(process.status() == 1)
        let text = process.lines(of: .standardError).joined()
        #expect(text.contains("invalid --store: invalid PostgreSQL URL"))
        #expect(!text.contains("hunter22"))
    }

    @Test(arguments: [
        ["serve", "--tcp-address=127.0.0.1:0"], ["demo"],
    ])
    func `is refused if it needs a file`(arguments: [String]) throws {
        let process = try BuiltProcess(arguments + ["--store=postgres://ann:hunter22@db/plays"])
        #expect(process.status() != 0)
        let text = process.lines(of: .standardError).joined()
        #expect(text.contains("tally process"))
        #expect(!text.contains("hunter22"))
    }
}
