import Glibc
import NSQClient
import TallyBasics

/// The names under which the commands appear in the statistics of an nsqd.
enum ClientIdentity {
    /// The `client_id` of a command's connections.
    static func clientID(of command: String) -> String { "tally-\(command)" }

    static let userAgent = "tally/\(TallyVersion.current)"

    /// The host name, or `localhost` if the system has none.
    static let hostname: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0, name[0] != 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }()
}

extension ClientOptions {
    /// Creates the default options for the connections of a command.
    ///
    /// - Parameter command: the name of the subcommand.
    init(ofCommand command: String) {
        self.init()
        clientID = ClientIdentity.clientID(of: command)
        hostname = ClientIdentity.hostname
        userAgent = ClientIdentity.userAgent
    }
}
