import GoFlags

extension NSQProgram {
    /// Runs the body of a tool, and prints its error.
    ///
    /// - Returns: the exit status: 0, or 1 after an error, as in NSQ's programs.
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
