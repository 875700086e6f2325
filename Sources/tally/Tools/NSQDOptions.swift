import ArgumentParser

/// The options of commands such as `tally tail` that select nsqds; by default, the nsqd on this
/// machine.
struct NSQDOptions: ParsableArguments {
    @Option(
        help: "The TCP address of an nsqd; repeatable. Default: \(NSQDOptions.defaultTCPAddress).")
    var nsqdTcpAddress: [String] = []

    @Option(help: "The HTTP address of an nsqlookupd, instead of nsqds; repeatable.")
    var lookupdHttpAddress: [String] = []

    @OptionGroup var connection: ConnectionOptions

    static let defaultTCPAddress = "127.0.0.1:4150"
    static let defaultHTTPAddress = "127.0.0.1:4151"

    /// The addresses of the nsqds; empty if nsqlookupds are given.
    var tcpAddresses: [String] {
        nsqdTcpAddress.isEmpty && lookupdHttpAddress.isEmpty
            ? [Self.defaultTCPAddress] : nsqdTcpAddress
    }

    func validate() throws {
        guard nsqdTcpAddress.isEmpty || lookupdHttpAddress.isEmpty else {
            throw ValidationError(
                "--nsqd-tcp-address and --lookupd-http-address cannot be combined")
        }
    }
}
