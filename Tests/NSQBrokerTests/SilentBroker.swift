import BrokerCore
import Logging
import NSQBroker

/// Starts a broker with changed options on free ports, without a log.
func quietBroker(_ change: (inout ServerOptions) -> Void) async throws -> EmbeddedBroker {
    var options = ServerOptions()
    options.addresses.tcp = "127.0.0.1:0"
    options.addresses.http = "127.0.0.1:0"
    change(&options)
    options.core.setHeartbeatsForTests()
    return try await EmbeddedBroker.start(
        options, Logger(label: "nsqd") { _ in SwiftLogNoOpLogHandler() })
}
