import Foundation
import TestKit

/// An HTTP server that sends the same response on each connection, on a thread of its own.
final class FixedResponseServer: Sendable {
    private let listener: BlockingListener

    init(_ body: String, status: Int = 200) throws {
        let listener = try BlockingListener()
        self.listener = listener
        Thread.detachNewThread {
            while true {
                do {
                    let client = try listener.accept()
                    _ = client.receiveRequest()
                    client.respond(body, status: status)
                } catch let error as POSIXError where error.code == .EAGAIN {
                    // No client has connected within the time limit of the listener.
                } catch {
                    return
                }
            }
        }
    }

    /// Ends the thread.
    deinit { listener.stop() }

    /// The address as `host:port`.
    var address: String { listener.address }
}
