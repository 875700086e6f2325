/// The addresses of nsqds or of nsqlookupds. A tool needs exactly one of the two kinds.
struct ToolAddresses: Sendable {
    /// The TCP addresses of nsqds; their HTTP addresses in `nsq_stat`.
    var nsqds: [String] = []
    /// The HTTP addresses of nsqlookupds.
    var lookupds: [String] = []

    /// Checks that exactly one kind is given.
    ///
    /// - Parameter nsqdFlag: the flag of the nsqds' addresses.
    /// - Throws: `ToolError` with the message that NSQ's program prints.
    func validate(nsqdFlag: String) throws(ToolError) {
        if nsqds.isEmpty, lookupds.isEmpty {
            throw ToolError("\(nsqdFlag) or --lookupd-http-address required")
        }
        if !nsqds.isEmpty, !lookupds.isEmpty {
            throw ToolError("use \(nsqdFlag) or --lookupd-http-address not both")
        }
    }
}
