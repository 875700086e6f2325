import ArgumentParser
import BrokerCore
import Logging
import NSQBroker
import UVLoop

/// `tally nsqd`: the broker alone.
struct NSQDCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nsqd",
        abstract: "Runs the NSQ broker alone, until SIGINT or SIGTERM.")

    @Option(help: "Where to listen for clients, as HOST:PORT.")
    var tcpAddress = "0.0.0.0:4150"

    func run() async throws {
        let broker = try await EmbeddedBroker.start(
            BrokerOptions(), at: tcpAddress, Logger(label: "nsqd"))
        while true { try await Task.sleep(for: .seconds(1000)) }
        await broker.stop()
    }
}
