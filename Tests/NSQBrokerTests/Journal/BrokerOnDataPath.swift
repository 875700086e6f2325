import Foundation
import Logging
import NSQBroker
import TestKit

extension EmbeddedBroker {
    /// Starts a broker with a data path and without the HTTP API.
    ///
    /// - Parameters:
    ///   - folder: the data path.
    ///   - maxBytesPerFile: the size in bytes of a journal file, after which the next one begins.
    ///   - log: receives the log lines.
    static func start(
        at folder: TemporaryFolder, maxBytesPerFile: Int,
        log: any LogHandler = SwiftLogNoOpLogHandler()
    ) async throws -> EmbeddedBroker {
        var options = ServerOptions()
        options.addresses.tcp = "127.0.0.1:0"
        options.addresses.http = ""
        options.disk.dataPath = folder.url.path
        options.disk.journal.maxBytesPerFile = maxBytesPerFile
        return try await start(options, Logger(label: "nsqd") { _ in log })
    }
}
