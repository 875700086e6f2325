import Glibc

/// Creates texts for `--help` whose line breaks are kept.
///
/// ArgumentParser wraps a discussion to the width of the terminal, and breaks lines only at spaces.
/// So examples contain no-break spaces, which are replaced by spaces when the help is printed.
enum HelpText {
    private static let noBreakSpace: Character = "\u{a0}"

    /// Returns the section with the examples of a command.
    ///
    /// All examples of a command form one session of a POSIX shell, which starts in an empty
    /// folder. A test runs them.
    static func examples(_ lines: String) -> String {
        let indented = lines.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.isEmpty ? "" : "  \($0)" }.joined(separator: "\n")
        return "\n\nEXAMPLES\n" + unwrapped(indented)
    }

    private static func unwrapped(_ text: String) -> String {
        String(text.map { $0 == " " ? noBreakSpace : $0 })
    }

    /// Returns a help text with its no-break spaces replaced by spaces.
    static func printed(_ text: String) -> String {
        String(text.map { $0 == noBreakSpace ? " " : $0 })
    }

    /// Sets the width to which ArgumentParser wraps help texts, through the environment variable
    /// `COLUMNS`, to at least 40. A width of 26 or less would not work, because descriptions are
    /// indented by 26 columns.
    static func limitColumns() {
        let environment = Terminal.environment("COLUMNS")
        let columns = Int(environment) ?? Terminal.size(of: STDOUT_FILENO).columns
        setenv("COLUMNS", "\(max(40, columns))", 1)
    }
}
