import NSQBroker
import NSQClient
import UVLoop

/// An error that the user can fix: one line with the cause and a remedy.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    /// Creates an error from a failed start of an embedded broker, with a remedy if the broker
    /// cannot listen on an address.
    ///
    /// - Parameter alternative: an option or command that uses an already running broker. The
    ///   broker's address is appended to it.
    init(startingBroker error: any Error, orUse alternative: String? = nil) {
        guard let error = error as? EmbeddedBroker.StartError, let service = error.service,
            let address = error.address
        else {
            self.init("\(error)")
            return
        }
        let flag = "--\(service)-address"
        var remedies = ["pass another \(flag), such as 127.0.0.1:0"]
        if let alternative, service == .tcp, error.code == .addressInUse,
            let address = try? SocketAddress(parsing: address).reachable
        {
            remedies.append("use the running broker with \(alternative)=\(address)")
        }
        self.init("\(error) (\(remedies.joined(separator: ", or ")))")
    }

    /// Creates an error from a connection error, with a remedy if the nsqd is unreachable.
    init(connecting error: any Error) {
        if let error = error as? NSQError, error.code == .unreachable, let address = error.address {
            self.init(
                "\(error) (start one with tally nsqd --tcp-address=\(address), or pass another "
                    + "--nsqd-tcp-address)")
        } else {
            self.init("\(error)")
        }
    }
}
