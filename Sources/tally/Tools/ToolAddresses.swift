import GoFlags

/// The addresses of nsqds or nsqlookupds, of which a tool needs one kind.
struct ToolAddresses: Sendable {
    /// TCP addresses, or HTTP addresses for statistics.
    var nsqds: [String] = []
    /// HTTP addresses.
    var lookupds: [String] = []

    /// Checks that exactly one kind is given.
    ///
    /// - Parameter nsqdFlag: the flag of the nsqds' addresses.
    /// - Throws: `ToolError` with the message of the original.
    func validate(nsqdFlag: String) throws(ToolError) {
        if nsqds.isEmpty, lookupds.isEmpty {
            throw ToolError("\(nsqdFlag) or --lookupd-http-address required")
        }
        if !nsqds.isEmpty, !lookupds.isEmpty {
            throw ToolError("use \(nsqdFlag) or --lookupd-http-address not both")
        }
    }
}

/// The reason why a tool ends with the exit status 1.
struct ToolError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension GoProgram {
    /// Runs the body of a tool, and prints its error.
    ///
    /// - Returns: the exit status: 0, or 1 after an error, as in the originals.
    static func status(of body: () async throws -> Void) async -> Int32 {
        do {
            try await body()
            return 0
        } catch {
            StandardError.print("\(programName): \(error)")
            return 1
        }
    }

    /// The line of `--version`.
    static var versionLine: String { "\(programName) v\(nsqVersion)" }
}

/// The version of NSQ with which the programs are compatible.
let nsqVersion = "1.3.0"
