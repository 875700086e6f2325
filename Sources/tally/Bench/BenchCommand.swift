import ArgumentParser
import Histogram
import NSQWire
import UVLoop

/// `tally bench`: how fast an nsqd is, ours or a real one, by itself or beside another.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures an nsqd, or two side by side.",
        discussion: """
            Publishes batches (MPUB, 200 × 200 bytes), consumes them with FIN, publishes singly \
            (PUB, 200 under way), does both at once, and times lone messages at default settings. \
            Each load is bounded in time and number; two nsqds take turns in one run, and the \
            medians are compared. Topics named tally_bench_… stay behind, empty.

            The first MPUB round meets a broker's memory as it is: cold, if it was just started.

            EXAMPLES
              tally bench --nsqd-tcp-address=127.0.0.1:4150
              tally bench --nsqd-tcp-address=127.0.0.1:4150 --against=127.0.0.1:5150

            A real nsqd moves messages beyond --mem-queue-size to disk: start it with \
            --mem-queue-size=10000000 to compare memory with memory.
            """)

    @Option(help: "The nsqd to measure, as HOST:PORT.")
    var nsqdTcpAddress: String

    @Option(help: "A second nsqd to measure in turn, and to state ratios against.")
    var against: String?

    @Option(help: "How long each load runs, in seconds.")
    var seconds = 1.0

    @Option(help: "How many messages a load publishes at the most.")
    var maxMessages = 2_000_000

    @Option(help: "How often everything is measured; medians are taken.")
    var rounds = 3

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        guard seconds > 0, seconds <= 60 else {
            throw ValidationError("--seconds is more than 0 and at most 60")
        }
        guard (1...10_000_000).contains(maxMessages) else {
            throw ValidationError("--max-messages is from 1 to 10000000")
        }
        guard (1...99).contains(rounds) else { throw ValidationError("--rounds is from 1 to 99") }
    }

    func run() throws {
        let addresses = try [nsqdTcpAddress, against].compactMap { $0 }.map {
            try SocketAddress(parsing: $0)
        }
        var results = addresses.map { _ in BenchResults() }
        for round in 1...rounds {
            for (place, address) in addresses.enumerated() {
                StandardError.print("round \(round) of \(rounds): \(address)")
                try measure(address, &results[place])
            }
        }
        if json {
            print(try BenchReport(addresses: addresses, results: results).json)
        } else {
            print(BenchReport(addresses: addresses, results: results).table)
        }
    }

    private func measure(_ address: SocketAddress, _ results: inout BenchResults) throws {
        let loads = BenchLoads(address: address, seconds: seconds, maxMessages: maxMessages)
        let name = "tally_bench_\(UInt32.random(in: 0 ... .max))"
        do {
            let batches = TopicName(name + "_mpub")!
            let batched = try loads.multiPublish(to: batches)
            results.multiPublish.append(batched.perSecond)
            results.consume.append(
                try loads.consume(batched.messages, from: batches).perSecond)
            let singles = TopicName(name + "_pub")!
            let single = try loads.publish(to: singles)
            results.publish.append(single.perSecond)
            _ = try loads.consume(single.messages, from: singles)
            let both = try loads.both(on: TopicName(name + "_both")!)
            results.bothPublished.append(both.published.perSecond)
            results.bothConsumed.append(both.consumed.perSecond)
            results.latency.append(
                try loads.latency(on: TopicName(name + "_lone")!, messages: 1_000))
        } catch let error as BenchError {
            throw ValidationError("\(address): \(error)")
        }
    }
}
