import GoFlags
import Logging
import NSQBroker

extension NSQProgram {
    /// Combines the command line with the configuration file that it names, if any. Logs keys and
    /// arguments that are ignored.
    ///
    /// - Parameters:
    ///   - table: the options that the file can set.
    ///   - file: the option with the path of the file, which is empty if there is none.
    ///   - log: the options of the log.
    /// - Returns: the options and the logger of the program; `nil` if the file cannot be used. The
    ///   reason is then logged.
    static func configured(
        _ parsed: FlagSet<Values>.Parsed, by table: [FlagOption<Values>],
        file: KeyPath<Values, String>, log: KeyPath<Values, LogOptions>
    ) -> (options: Values, logger: Logger)? {
        var options = parsed.values
        let path = options[keyPath: file]
        var unknown: [String] = []
        do throws(SetupError) {
            if !path.isEmpty {
                let file = try ConfigFile(path: path)
                unknown = try file.apply(table, to: &options, except: parsed.given)
            }
        } catch {
            LineLog.logger(options[keyPath: log]).critical("\(error)")
            return nil
        }
        let logger = LineLog.logger(options[keyPath: log])
        for key in unknown { logger.warning("\(path): unknown option \(key)") }
        if !parsed.rest.isEmpty {
            let words = parsed.rest.joined(separator: " ")
            logger.warning("ignored arguments after the flags: \(words)")
        }
        return (options, logger)
    }
}
