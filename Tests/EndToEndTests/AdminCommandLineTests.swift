import Foundation
import TestKit
import TestTraits
import Testing

/// The command line of our nsqadmin, or of the one of `NSQADMIN_PROGRAM`.
@Suite(.blocking) struct `The command line of nsqadmin` {
    private static let named = ProcessInfo.processInfo.environment["NSQADMIN_PROGRAM"]
    private static let lookupd = "--lookupd-http-address=127.0.0.1:1"

    private func nsqadmin(_ words: [String]) throws -> BuiltProcess {
        try BuiltProcess(
            (Self.named == nil ? ["nsqadmin"] : []) + words,
            executable: Self.named.map { URL(filePath: $0) } ?? BuiltProcess.tally)
    }

    @Test(arguments: [
        (["-nope"], "flag provided but not defined: -nope"),
        (
            ["-statsd-interval=x"],
            "invalid value \"x\" for flag -statsd-interval: parse error"
        ),
        (["-base-path"], "flag needs an argument: -base-path"),
    ])
    func `names an invalid flag and exits with 2`(words: [String], first: String) throws {
        let process = try nsqadmin(words)
        #expect(process.status() == 2)
        #expect(process.lines(of: .standardError).first?.hasPrefix(first) == true)
    }

    @Test(arguments: [
        ([], "--nsqd-http-address or --lookupd-http-address required"),
        (
            [lookupd, "--nsqd-http-address=127.0.0.1:1"],
            "use --nsqd-http-address or --lookupd-http-address not both"
        ),
        (
            ["--nsqd-http-address=127.0.0.1"],
            "failed to resolve --nsqd-http-address (127.0.0.1) - "
        ),
        (
            [lookupd, "--allow-config-from-cidr=x"],
            "failed to parse --allow-config-from-cidr (x) - invalid CIDR address: x"
        ),
        (
            [lookupd, "--http-client-tls-cert=x"],
            "--http-client-tls-key must be specified with --http-client-tls-cert"
        ),
        ([lookupd, "--http-address=127.0.0.1:99999"], "listen (127.0.0.1:99999) failed - "),
    ])
    func `exits with 1 and a fatal line for invalid options`(
        words: [String], reason: String
    ) throws {
        let process = try nsqadmin(words)
        #expect(process.status() == 1)
        let last = process.lines(of: .standardError).last ?? ""
        #expect(
            last.contains("FATAL: failed to instantiate nsqadmin - \(reason)"), "\(last)")
    }

    @Test func `prints the version`() throws {
        let process = try nsqadmin(["--version"])
        #expect(process.status() == 0)
        let line = process.lines(of: .standardOutput).first
        #expect(line?.wholeMatch(of: /nsqadmin v1\.3\.0 \(built w\/.*\)/) != nil)
    }

    @Test func `reads a configuration file and ends after SIGTERM with 0`() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appending(component: "admin.cfg")
        let text = """
            log_prefix = "[file] "
            nsqlookupd_http_addresses = ["127.0.0.1:1"]
            http_address = "127.0.0.1:0"
            unknown = 1

            """
        try Data(text.utf8).write(to: file)
        let process = try nsqadmin(["--config=\(file.path)"])
        let mark = "HTTP: listening on "
        let line = try #require(process.line(containing: mark))
        #expect(line.hasPrefix("[file] "))
        let address = String(line[line.range(of: mark)!.upperBound...])
        #expect(try ReceivedResponse(to: "GET", "/ping", at: address).summary == "200 OK")
        let request = #/\[file\] [0-9/]+ [0-9:.]+ INFO: 200 GET /ping \(127.*\) .*s/#
        let logged = try #require(process.line(containing: "GET /ping"))
        #expect(logged.wholeMatch(of: request) != nil, "\(logged)")
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }

    @Test(.enabled(if: named == nil, "the program needs no link"))
    func `is that of a link with its name`() throws {
        let folder = try TemporaryFolder()
        let link = folder.url.appending(component: "nsqadmin")
        try FileManager.default.createSymbolicLink(
            at: link, withDestinationURL: BuiltProcess.tally)
        let process = try BuiltProcess(["-nope"], executable: link)
        #expect(process.status() == 2)
        #expect(process.lines(of: .standardError).last == "See 'nsqadmin --help'.")
    }
}
