import Foundation
import TestKit
import TestTraits
import Testing

/// The two commands that open a store.
private enum Command: String, CaseIterable {
    case counts, process

    func arguments(_ store: String, nsqd: String = "127.0.0.1:1") -> [String] {
        switch self {
        case .counts: ["counts", "--store=\(store)"]
        case .process:
            ["process", "--nsqd-tcp-address=\(nsqd)", "--store=\(store)", "--page-address=none"]
        }
    }
}

@Suite(.blocking, .serialized) struct `The error for a store` {
    let folder: TemporaryFolder
    let store: String

    /// Copies a store of an earlier version with 500 plays.
    init() throws {
        folder = try TemporaryFolder()
        store = folder.path("counts.sqlite")
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/stores/2-counted-plays.sqlite").standardized
        try FileManager.default.copyItem(atPath: fixture.path, toPath: store)
    }

    @Test(arguments: Command.allCases)
    private func `of a newer version says so and the file is unchanged`(
        command: Command
    ) throws {
        let newer = try edit { data in
            while let mark = data.firstRange(of: Data("1: counts".utf8)) {
                data.replaceSubrange(mark, with: Data("9: counts".utf8))
            }
        }
        try expect(command, toFailWith: "was written by a newer version of tally")
        #expect(try content == newer)
    }

    @Test(arguments: Command.allCases)
    private func `that is another kind of file says so and the file is unchanged`(command: Command)
        throws
    {
        let letter = try edit { $0 = Data(String(repeating: "Dear Sir, ", count: 100).utf8) }
        try expect(command, toFailWith: "is not a tally store")
        #expect(try content == letter)
    }

    @Test(arguments: Command.allCases)
    private func
        `that another process has locked says so and the store works after the lock is released`(
            command: Command
        ) throws
    {
        let lock = try ForeignLock(on: store)
        try expect(command, toFailWith: "is in use by another process")
        lock.release()
        #expect(try counted(in: store).plays == 500)
    }

    @Test func `that another processor uses says so and that processor continues`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let first = try BuiltProcess(Command.process.arguments(store, nsqd: address))
        #expect(first.line(containing: "counting plays") != nil)
        try expect(.process, toFailWith: "is in use by another process")
        #expect(try counted(in: store).plays == 500)
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=100", "--videos=100",
        ])
        #expect(producer.status() == 0)
        #expect(try eventually { try counted(in: store).plays == 600 })
        first.send(SIGTERM)
        #expect(first.status() == 0)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `in a missing folder says so`() throws {
        let process = try BuiltProcess(Command.process.arguments(folder.path("no/counts.sqlite")))
        #expect(process.status() == 1)
        #expect(process.line(containing: "check that its folder exists") != nil)
    }

    @Test(
        .enabled(
            if: UnprivilegedProcess.isPossible,
            "this user cannot drop the permission to access all files"))
    func `without write permission says so and the file is unchanged`() throws {
        let before = try content
        try setPermissions(0o444)
        let process = try UnprivilegedProcess.start(Command.process.arguments(store))
        #expect(process.status() == 1)
        #expect(process.line(containing: "change its permissions") != nil)
        #expect(try content == before)
    }

    private func expect(_ command: Command, toFailWith text: String) throws {
        let process = try BuiltProcess(command.arguments(store))
        #expect(process.status() == 1)
        let printed = process.lines(of: .standardError)
        #expect(
            printed.count == 1 && printed[0].contains(text) && printed[0].contains(store),
            "\(printed)")
        #expect(process.lines(of: .standardOutput) == [])
    }

    private var content: Data { get throws { try Data(contentsOf: URL(filePath: store)) } }

    /// Changes the file without SQLite.
    private func edit(_ change: (inout Data) -> Void) throws -> Data {
        var data = try content
        change(&data)
        try data.write(to: URL(filePath: store))
        return data
    }

    private func setPermissions(_ mode: Int) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: store)
    }
}

@Suite(.blocking, .serialized) struct `A read-only store` {
    /// The folder is read-only too, so that SQLite cannot create its WAL index.
    @Test(
        .enabled(
            if: UnprivilegedProcess.isPossible,
            "this user cannot drop the permission to access all files"), arguments: [1, 2])
    func `shows its counts in every version of the format`(version: Int) throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        if version == 1 {
            let fixture = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../Fixtures/stores/2-counted-plays.sqlite").standardized
            try FileManager.default.copyItem(atPath: fixture.path, toPath: store)
        } else {
            let demo = try BuiltProcess([
                "demo", "--tcp-address=127.0.0.1:0", "--plays=500", "--videos=20",
                "--store=\(store)",
            ])
            _ = demo.status()
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: store)
        let path = folder.url.path
        try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: path)
        let look = try UnprivilegedProcess.start(Command.counts.arguments(store))
        let table = look.status()
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        #expect(table == 0, "\(look.lines(of: .standardError))")
        #expect(look.lines(of: .standardOutput).last?.hasSuffix("500 plays") == true)
    }
}

@Suite(.blocking) struct `A store on a full disk` {
    /// The disk has 5 MiB free: enough for the start, but not for all plays.
    @Test(.enabled(if: SmallDisk.isPossible, "mounting a disk needs root"))
    func `pauses the processor, which continues when there is space`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let disk = try SmallDisk(mebibytes: 40)
        try disk.put("ballast", mebibytes: 35)
        let store = "--store=\(disk.folder.path)/counts.sqlite"
        let processor = try disk.process([
            "process", "--nsqd-tcp-address=\(address)", "--page-address=none", store,
        ])
        let plays = 80_000
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=\(plays)", "--videos=\(plays)",
        ])
        #expect(producer.status() == 0)
        #expect(processor.line(containing: "no space left on device") != nil)
        try disk.remove("ballast")
        let all = try eventually {
            let look = try disk.process(["counts", "--top=1", store])
            _ = look.status()
            return look.lines(of: .standardOutput).last == "\(plays) videos, \(plays) plays"
        }
        #expect(all)
        for process in [processor, broker] {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }
}

@Suite(.blocking) struct `A store that another program locks` {
    @Test func `pauses the counting, and the broker continues`() throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let (serve, address) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--page-address=none", "--store=\(store)",
        ])
        func produce() throws {
            let producer = try BuiltProcess([
                "produce", "--nsqd-tcp-address=\(address)", "--plays=100", "--videos=100",
            ])
            #expect(producer.status() == 0)
        }
        try produce()
        #expect(try eventually { try counted(in: store).plays == 100 })
        let lock = try #require(ForeignLock.ofWriters(store))
        try produce()
        #expect(serve.line(containing: "plays wait in NSQ until the store works") != nil)
        try produce()
        lock.release()
        #expect(serve.line(containing: "works again") != nil)
        #expect(try eventually { try counted(in: store).plays == 300 })
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
        #expect(serve.line(containing: "counted 300 plays") != nil)
    }
}

/// Starts processes that have no permission to access all files, even if the tests run as root.
private enum UnprivilegedProcess {
    private static let isRoot = getuid() == 0
    private static let setpriv = URL(filePath: "/usr/bin/setpriv")
    private static let capabilities = "-dac_override,-dac_read_search"
    private static let dropCapabilities = [
        "--bounding-set=\(capabilities)", "--inh-caps=\(capabilities)",
    ]

    static let isPossible: Bool = {
        guard isRoot else { return true }
        let process = try? BuiltProcess(dropCapabilities + ["/bin/true"], executable: setpriv)
        return process?.status() == 0
    }()

    static func start(_ arguments: [String]) throws -> BuiltProcess {
        guard isRoot else { return try BuiltProcess(arguments) }
        return try BuiltProcess(
            dropCapabilities + [BuiltProcess.tally.path] + arguments, executable: setpriv)
    }
}
