import ArgumentParser
import Foundation

/// `tally manual`: prints the manual page, which the installation stores.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Prints the manual page in the format of mdoc(7).",
        discussion: """
            The date of the page is that of SOURCE_DATE_EPOCH, in seconds since 1970, or the \
            current one.
            """,
        shouldDisplay: false)

    func run() {
        let epoch = Double(Terminal.environment("SOURCE_DATE_EPOCH"))
        print(ManualPage(date: epoch.map { Date(timeIntervalSince1970: $0) } ?? .now).text)
    }
}
