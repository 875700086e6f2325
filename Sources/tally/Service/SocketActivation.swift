import Glibc
import NSQBroker
import UVLoop

/// The listening sockets that a service manager, such as systemd with a socket unit, has passed to
/// this process.
///
/// The name of each socket (`FileDescriptorName=` in the socket unit) is its purpose: `tcp`, `http`
/// or `https`. A single socket without a name is for `tcp`.
///
/// - SeeAlso: sd_listen_fds(3).
struct SocketActivation {
    let sockets: [EmbeddedBroker.StartError.Service: InheritedSocket]

    /// The number of the first passed descriptor. The others have the following numbers.
    private static let firstDescriptor: Int32 = 3

    /// Reads the environment variables that describe the sockets, and removes them, so that child
    /// processes do not inherit them.
    ///
    /// - Throws: `SetupError` if the sockets cannot be used.
    static func ofProcess() throws(SetupError) -> SocketActivation {
        let variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]
        let values = variables.map { name in getenv(name).map { String(cString: $0) } }
        for name in variables { unsetenv(name) }
        guard values[0] == "\(getpid())", let count = values[1] else {
            return SocketActivation(sockets: [:])
        }
        return try SocketActivation(count: count, names: values[2])
    }

    private init(sockets: [EmbeddedBroker.StartError.Service: InheritedSocket]) {
        self.sockets = sockets
    }

    private init(count text: String, names: String?) throws(SetupError) {
        guard let count = Int32(text), (0...3).contains(count) else {
            throw SetupError(
                "the service manager has passed \(text) sockets: at most tcp, http and https are used"
            )
        }
        let names = names?.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var sockets: [EmbeddedBroker.StartError.Service: InheritedSocket] = [:]
        for index in 0..<count {
            let name = names.flatMap { $0.count > index ? $0[Int(index)] : nil } ?? ""
            // If a socket has no name, systemd passes `unknown` or the name of the unit.
            let isUnnamed = name.isEmpty || name == "unknown" || name.hasSuffix(".socket")
            let service =
                isUnnamed && count == 1 ? .tcp : EmbeddedBroker.StartError.Service(rawValue: name)
            guard let service, sockets[service] == nil else {
                throw SetupError(
                    "the service manager has passed a socket named '\(name)': use the names tcp, "
                        + "http and https once each (FileDescriptorName= of a socket unit)")
            }
            guard let socket = InheritedSocket(descriptor: Self.firstDescriptor + index) else {
                throw SetupError(
                    "the socket \(service) of the service manager is not a listening stream socket")
            }
            sockets[service] = socket
        }
        self.sockets = sockets
    }
}
