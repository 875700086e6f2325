import Foundation
import TestKit
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

@Suite(.serialized) struct `A store that cannot be used` {
    let folder: TemporaryFolder
    let store: String

    /// 500 plays, by an earlier version.
    init() throws {
        folder = try TemporaryFolder()
        store = folder.path("counts.sqlite")
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/stores/2-counted-plays.sqlite").standardized
        try FileManager.default.copyItem(atPath: fixture.path, toPath: store)
    }

    @Test(arguments: Command.allCases)
    private func `because a newer tally wrote it is named, and left alone`(
        command: Command
    ) throws {
        let newer = try edit { data in
            while let mark = data.firstRange(of: Data("1: counts".utf8)) {
                data.replaceSubrange(mark, with: Data("9: counts".utf8))
            }
        }
        try expect(command, toFailWith: "was written by a newer tally")
        #expect(try content == newer)
    }

    @Test(arguments: Command.allCases)
    private func `because it is something else is named, and left alone`(command: Command) throws {
        let letter = try edit { $0 = Data(String(repeating: "Dear Sir, ", count: 100).utf8) }
        try expect(command, toFailWith: "is not a store of tally")
        #expect(try content == letter)
    }

    @Test(arguments: Command.allCases)
    private func `because another process has locked it is named, and works when that is gone`(
        command: Command
    ) throws {
        let lock = try ForeignLock(on: store)
        try expect(command, toFailWith: "is in use by another process")
        lock.release()
        #expect(try counted(in: store).plays == 500)
    }

    @Test func `because a processor has it is named, and that one goes on`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let first = try BuiltProcess(Command.process.arguments(store, nsqd: address))
        #expect(first.line(containing: "counting plays") != nil)
        try expect(.process, toFailWith: "is in use by another process")
        #expect(try counted(in: store).plays == 500)
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=100", "--videos=100",
        ])
        #expect(producer.status() == 0)
        #expect(try comesTrue { try counted(in: store).plays == 600 })
        first.send(SIGTERM)
        #expect(first.status() == 0)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `because its folder is not there is named`() throws {
        let process = try BuiltProcess(Command.process.arguments(folder.path("no/counts.sqlite")))
        #expect(process.status() == 1)
        #expect(process.line(containing: "does its folder exist?") != nil)
    }

    @Test(.enabled(if: Mortal.canBe, "permissions do not bind this user"))
    func `because it may not be written is named, and left alone`() throws {
        let before = try content
        try setPermissions(0o444)
        let process = try Mortal.process(Command.process.arguments(store))
        #expect(process.status() == 1)
        #expect(process.line(containing: "cannot be written: change its permissions") != nil)
        #expect(try content == before)
    }

    private func expect(_ command: Command, toFailWith text: String) throws {
        let process = try BuiltProcess(command.arguments(store))
        #expect(process.status() == 1)
        let said = process.lines(of: .standardError)
        #expect(said.count == 1 && said[0].contains(text) && said[0].contains(store), "\(said)")
        #expect(process.lines(of: .standardOutput) == [])
    }

    private var content: Data { get throws { try Data(contentsOf: URL(filePath: store)) } }

    /// Changes it behind tally's back.
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

@Suite(.serialized) struct `A store that may only be read` {
    /// In a folder where SQLite cannot lay down the files that it reads a running store by.
    @Test(.enabled(if: Mortal.canBe, "permissions do not bind this user"), arguments: [1, 2])
    func `shows its counts, whatever version it is of`(version: Int) throws {
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
        let look = try Mortal.process(Command.counts.arguments(store))
        let table = look.status()
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        #expect(table == 0, "\(look.lines(of: .standardError))")
        #expect(look.lines(of: .standardOutput).last?.hasSuffix("500 plays") == true)
    }
}

@Suite struct `A store on a full disk` {
    /// There are 5 MiB left: enough to start with, and not for all of the plays.
    @Test(.enabled(if: SmallDisk.isPossible, "it takes the right to mount a disk"))
    func `ends the processor, which says so, and loses nothing`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let disk = try SmallDisk(mebibytes: 40)
        try disk.put("ballast", mebibytes: 35)
        let store = "--store=\(disk.folder.path)/counts.sqlite"
        let process = ["process", "--nsqd-tcp-address=\(address)", "--page-address=none", store]
        let processor = try disk.process(process)
        let plays = 80_000
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=\(plays)", "--videos=\(plays)",
        ])
        #expect(producer.status() == 0)
        #expect(processor.status() == 1)
        #expect(processor.line(containing: "no room left on the disk for the store") != nil)
        let look = try disk.process(["counts", "--top=1", store])
        #expect(look.status() == 0)

        try disk.remove("ballast")
        let next = try disk.process(process)
        let all = try comesTrue {
            let look = try disk.process(["counts", "--top=1", store])
            _ = look.status()
            return look.lines(of: .standardOutput).last == "\(plays) videos, \(plays) plays"
        }
        #expect(all)
        for process in [next, broker] {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }
}

/// Processes that permissions bind, as they bind everybody but root.
private enum Mortal {
    private static let isRoot = getuid() == 0
    private static let setpriv = URL(filePath: "/usr/bin/setpriv")
    private static let powers = "-dac_override,-dac_read_search"
    private static let mortality = ["--bounding-set=\(powers)", "--inh-caps=\(powers)"]

    static let canBe: Bool = {
        guard isRoot else { return true }
        let process = try? BuiltProcess(mortality + ["/bin/true"], executable: setpriv)
        return process?.status() == 0
    }()

    static func process(_ arguments: [String]) throws -> BuiltProcess {
        guard isRoot else { return try BuiltProcess(arguments) }
        return try BuiltProcess(
            mortality + [BuiltProcess.tally.path] + arguments, executable: setpriv)
    }
}

/// What SQLite takes for another process that has locked a database: POSIX locks where it looks for
/// them.
///
/// - SeeAlso: SQLite, “Database File Format”, 1.3.1 The Lock-Byte Page.
private final class ForeignLock {
    private let descriptor: Int32

    init(on path: String) throws {
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = 0x4000_0000
        lock.l_len = 512
        guard fcntl(descriptor, F_SETLK, &lock) == 0 else { throw POSIXError(.EAGAIN) }
    }

    func release() { close(descriptor) }
}
