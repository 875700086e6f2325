import NSQClient

/// An error that the user can fix: one line with the cause and a remedy.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

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
