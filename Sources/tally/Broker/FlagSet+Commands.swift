import ArgumentParser
import GoFlags
import NSQBroker

extension FlagSet<ServerOptions> {
    /// Creates a parser of the broker's flags.
    ///
    /// - Parameter command: the command that accepts the flags. Its own options are also suggested
    ///   for unknown names.
    init(name: String, command: (any ParsableCommand.Type)? = nil) {
        self.init(
            name: name, options: ServerOption.all,
            otherNames: command.map(CommandOption.all)?.compactMap(\.name) ?? [])
    }
}

extension FlagSet<ServerOptions> {
    /// Parses the broker flags on the command line of another command, such as `tally bench` or
    /// `tally serve`. Errors have the form that this command's own errors have.
    func parse(
        _ arguments: [String], over defaults: ServerOptions, of command: some ParsableCommand
    ) throws -> Parsed {
        do throws(FlagError) {
            let parsed = try parse(arguments, over: defaults)
            guard let word = parsed.rest.first else { return parsed }
            throw .invalid("unexpected argument '\(word)'")
        } catch {
            guard case .invalid(let text, let remedy) = error else {
                throw CleanExit.helpRequest(command)
            }
            throw ValidationError(text + (remedy.map { " (\($0))" } ?? ""))
        }
    }
}
