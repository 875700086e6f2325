import GoFlags
import Logging
import NSQBroker
import TestKit
import Testing

/// An nsqd for tests of the client over real sockets: an embedded broker, or the nsqd that
/// `NSQD_PROGRAM` names.
struct NSQDUnderTest {
    /// The address for clients.
    let address: String
    private let broker: EmbeddedBroker?
    private let foreign: RunningNSQD?

    /// Starts an nsqd on a free port.
    ///
    /// - Parameter flags: flags of nsqd without dashes, with their values.
    static func start(_ flags: [String: String] = [:]) async throws -> NSQDUnderTest {
        if RunningNSQD.isForeign {
            let nsqd = try RunningNSQD(
                ["--https-address=127.0.0.1:0"] + flags.map { "--\($0)=\($1)" })
            return NSQDUnderTest(address: nsqd.tcpAddress, broker: nil, foreign: nsqd)
        }
        var options = ServerOptions()
        for (flag, value) in flags {
            let option = try #require(ServerOption.all.first { $0.flag == flag })
            try option.set(&options, to: value)
        }
        options.addresses.tcp = "127.0.0.1:0"
        options.addresses.http = ""
        options.addresses.https = ""
        var logger = Logger(label: "nsqd")
        logger.logLevel = .critical
        let broker = try await EmbeddedBroker.start(options, logger)
        return NSQDUnderTest(address: broker.tcpAddress, broker: broker, foreign: nil)
    }

    func stop() async {
        await broker?.stop()
        foreign?.stop()
    }
}

/// A logger that writes nothing.
let quiet = {
    var logger = Logger(label: "quiet")
    logger.logLevel = .critical
    return logger
}()
