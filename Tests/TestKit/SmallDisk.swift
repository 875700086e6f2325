import Foundation

/// A disk in memory, for the time of one test: the processes that are started on it see it in
/// `folder`, and nobody else does. That takes no rights but to a name space of one's own, which some
/// machines refuse.
package final class SmallDisk: Sendable {
    /// Holds the name space until the test lets go of the disk.
    private let keeper: BuiltProcess
    private let place: TemporaryFolder

    package static let isPossible = (try? SmallDisk(mebibytes: 1)) != nil

    struct Refused: Error {
        let reasons: [String]
    }

    /// - Throws: why this machine does not let us.
    package init(mebibytes: Int) throws {
        place = try TemporaryFolder()
        let mount = "mount -t tmpfs -o size=\(mebibytes)m tally \"$0\""
        keeper = try BuiltProcess(
            ["--user", "--map-root-user", "--mount", "/bin/sh", "-c"]
                + ["\(mount) && echo mounted && exec sleep infinity", place.url.path],
            executable: URL(filePath: "/usr/bin/unshare"))
        guard keeper.line(containing: "mounted", of: .standardOutput) != nil else {
            throw Refused(reasons: keeper.lines(of: .standardError))
        }
    }

    /// Where its processes find it.
    package var folder: URL { place.url }

    // MARK: Its processes

    private static let nsenter = URL(filePath: "/usr/bin/nsenter")

    private func words(_ arguments: [String]) -> [String] {
        ["--target=\(keeper.processID)", "--user", "--mount", "--preserve-credentials"]
            + [BuiltProcess.tally.path] + arguments
    }

    /// Starts `tally` with `arguments` on it.
    package func process(_ arguments: [String]) throws -> BuiltProcess {
        try BuiltProcess(words(arguments), executable: Self.nsenter)
    }

    /// The same, where that listens; see ``BuiltProcess/listening(_:executable:environment:directory:)``.
    package func listening(
        _ arguments: [String]
    ) throws -> (process: BuiltProcess, address: String) {
        try BuiltProcess.listening(words(arguments), executable: Self.nsenter)
    }

    // MARK: Its files

    /// Takes so much of it.
    package func put(_ name: String, mebibytes: Int) throws {
        try Data(count: mebibytes << 20).write(to: seen(name))
    }

    package func remove(_ name: String) throws {
        try FileManager.default.removeItem(at: seen(name))
    }

    private func seen(_ name: String) -> URL { seen.appending(component: name) }

    /// The folder as we see it, who do not stand in its name space.
    package var seen: URL { URL(filePath: "/proc/\(keeper.processID)/root\(folder.path)") }
}
