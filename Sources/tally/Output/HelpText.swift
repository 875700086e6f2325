import Glibc

/// Text of `--help` that keeps its lines.
///
/// ArgumentParser wraps a discussion to the width of the terminal, and breaks lines only at spaces.
/// Examples have no-break spaces instead, which are spaces again when the help is printed.
enum HelpText {
    private static let noBreakSpace: Character = "\u{a0}"

    /// Returns the section with the examples of a command.
    ///
    /// The examples are one session of a POSIX shell, beginning in an empty folder. A test runs
    /// them.
    static func examples(_ lines: String) -> String {
        let indented = lines.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.isEmpty ? "" : "  \($0)" }.joined(separator: "\n")
        return "\n\nEXAMPLES\n" + unwrapped(indented)
    }

    private static func unwrapped(_ text: String) -> String {
        String(text.map { $0 == " " ? noBreakSpace : $0 })
    }

    /// Returns a help text as it is printed.
    static func printed(_ text: String) -> String {
        String(text.map { $0 == noBreakSpace ? " " : $0 })
    }

    /// Raises the width to which ArgumentParser wraps help texts, in the environment variable
    /// `COLUMNS`. It must be greater than the 26 columns by which descriptions are indented.
    static func limitColumns() {
        let environment = Terminal.environment("COLUMNS")
        let columns = Int(environment) ?? Terminal.size(of: STDOUT_FILENO).columns
        setenv("COLUMNS", "\(max(40, columns))", 1)
    }
}
