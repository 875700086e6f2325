import Glibc

/// Writes lines to standard error. A slow or missing reader neither delays nor ends the process.
enum StandardError {
    private static let writer = LineWriter(descriptor: STDERR_FILENO)

    static func print(_ line: String) { writer.print(line) }

    /// Blocks until all printed lines are written, for at most 1 s. Call this method before the
    /// process ends.
    static func flush() { writer.flush() }
}
