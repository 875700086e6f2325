import Foundation

/// A disk in memory for one test. Only processes that are started with its methods see its contents
/// in `folder`. It requires user and mount name spaces, which some machines do not permit.
package final class SmallDisk: Sendable {
    /// A process that keeps the name space alive.
    private let keeper: BuiltProcess
    private let place: TemporaryFolder

    package static let isPossible = (try? SmallDisk(mebibytes: 1)) != nil

    struct Refused: Error {
        let reasons: [String]
    }

    /// - Throws: `Refused` if the machine does not permit name spaces.
    package init(mebibytes: Int) throws {
        place = try TemporaryFolder()
        let mount = "mount -t tmpfs -o size=\(mebibytes)m tally \"$0\""
        keeper = try BuiltProcess(
            ["--user", "--map-root-user", "--mount", "/bin/sh", "-c"]
                + ["\(mount) && echo mounted && exec sleep infinity", place.url.path],
            executable: URL(filePath: "/usr/bin/unshare"))
        guard keeper.line(containing: "mounted", of: .standardOutput) != nil else {
            throw Refused(reasons: keeper.linesSoFar(of: .standardError))
        }
    }

    /// The folder in which the processes see the disk.
    package var folder: URL { place.url }

    // MARK: Processes

    private static let nsenter = URL(filePath: "/usr/bin/nsenter")

    private func words(_ arguments: [String]) -> [String] {
        ["--target=\(keeper.processID)", "--user", "--mount", "--preserve-credentials"]
            + [BuiltProcess.tally.path] + arguments
    }

    /// Starts `tally` in the name space of the disk.
    package func process(_ arguments: [String]) throws -> BuiltProcess {
        try BuiltProcess(words(arguments), executable: Self.nsenter)
    }

    /// Starts `tally` and waits until it listens; see ``BuiltProcess/listening(_:executable:environment:directory:)``.
    package func listening(
        _ arguments: [String]
    ) throws -> (process: BuiltProcess, address: String) {
        try BuiltProcess.listening(words(arguments), executable: Self.nsenter)
    }

    // MARK: Files

    /// Writes a file of zeros.
    package func put(_ name: String, mebibytes: Int) throws {
        try Data(count: mebibytes << 20).write(to: seen(name))
    }

    package func remove(_ name: String) throws {
        try FileManager.default.removeItem(at: seen(name))
    }

    private func seen(_ name: String) -> URL { seen.appending(component: name) }

    /// The path of the folder for processes outside of the name space.
    package var seen: URL { URL(filePath: "/proc/\(keeper.processID)/root\(folder.path)") }
}
