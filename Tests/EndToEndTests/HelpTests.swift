import Foundation
import TestKit
import TestTraits
import Testing

/// A network of its own, in which all ports are free. It requires user and network name spaces, which
/// some machines do not permit.
private enum OwnNetwork {
    static let isPossible = (try? run("true", in: nil).status()) == 0

    /// Runs a script of bash.
    static func run(_ script: String, in folder: URL?) throws -> BuiltProcess {
        // The loopback interface of a new network is down. Perl is part of every Debian.
        let up = #"$r=pack("a16sx22","lo",0x41);socket(S,2,2,0);exit!ioctl(S,0x8914,$r)"#
        return try BuiltProcess(
            ["--user", "--map-root-user", "--net", "bash", "-c"]
                + ["perl -e '\(up)' || exit 99\n\(script)"],
            executable: URL(filePath: "/usr/bin/unshare"),
            environment: ["TALLY": BuiltProcess.tally.path], directory: folder)
    }
}

@Suite(.blocking) struct `The examples of --help` {
    private static let commands =
        [
            "tally", "demo", "serve", "produce", "process", "counts", "doctor", "bench", "tail",
            "pub", "stat", "peek", "message", "cluster", "cluster run", "cluster list",
            "cluster stop",
            "cluster start", "cluster restart",
        ] + jobs + programs
    private static let jobs =
        ["jobs"]
        + [
            "enqueue", "work", "serve", "list", "show", "retry", "cancel", "discard", "move",
            "edit", "pause", "resume", "stats", "prune", "cron", "cron add",
            "cron list", "cron remove",
        ].map { "jobs \($0)" }
    /// The programs of NSQ, which print their help to standard error.
    private static let programs = [
        "nsqd", "nsqlookupd", "nsq_tail", "to_nsq", "nsq_stat", "nsq_to_file", "nsq_to_nsq",
        "nsq_to_http",
    ]

    /// The lines of the examples in a help text.
    private static func examples(of command: String, columns: Int = 80) throws -> [String] {
        let process = try BuiltProcess(
            (command == "tally" ? [] : command.split(separator: " ").map(String.init)) + ["--help"],
            environment: ["COLUMNS": "\(columns)"])
        #expect(process.status() == 0)
        let stream: BuiltProcess.Stream =
            programs.contains(command) ? .standardError : .standardOutput
        let lines = process.lines(of: stream)
        let start = try #require(lines.firstIndex(of: "EXAMPLES"))
        return Array(lines[(start + 1)...].prefix { $0.isEmpty || $0.hasPrefix("  ") })
    }

    @Test(arguments: commands)
    func `are not wrapped in any terminal`(command: String) throws {
        let examples = try Self.examples(of: command)
        #expect(examples.count >= 4)
        #expect(examples.allSatisfy { $0.count <= 80 && $0.allSatisfy(\.isASCII) })
        for columns in [-1, 0, 1, 20, 60, 1_000] {
            #expect(try Self.examples(of: command, columns: columns) == examples)
        }
    }

    /// Shell functions that shorten the commands which would run for long: a live demo runs until
    /// Ctrl-C, and a measurement takes a minute.
    private static let prelude = #"""
        tally() {
            local words=("$@") status
            case "$*" in
            *--live*) words=(--signal=INT 3 "$TALLY" "$@") ;;
            bench*) words=(300 "$TALLY" "$@" --seconds=0.02 --max-messages=200 --rounds=1) ;;
            *) words=(300 "$TALLY" "$@") ;;
            esac
            case "$1 $2" in
            # The process must be the one that `kill $!` ends.
            serve*|nsqd*|nsqlookupd*|process*|nsq_to_file*|nsq_to_nsq*|nsq_to_http*|"jobs serve"|\
            "cluster run"|"cluster --"*)
                exec "$TALLY" "$@" ;;
            esac
            timeout "${words[@]}" || { status=$?; [ $status = 124 ] || fail $status "$*"; }
        }
        fail() { echo "FAILED with $1: $2" >&2; }
        trap 'fail $? "$BASH_COMMAND"' ERR
        set -o pipefail -o errtrace
        # Waits for what the next command needs, because a busy machine may need longer than the
        # example sleeps: the listeners of a server, or a consumer that has processed all messages.
        sleep() {
            local listeners=0
            case "$(jobs %+)" in
            *"tally nsqd"* | *"tally nsqlookupd"* | *"tally jobs serve"*) listeners=2 ;;
            *"tally serve"*) listeners=3 ;;
            # Two for each node, and one for the other commands.
            *"tally cluster"*--nsqd=3*--lookupd=2*) listeners=11 ;;
            *"tally cluster"*--nsqd=2*--lookupd=1*) listeners=7 ;;
            esac
            for _ in {1..3000}; do
                if [ $listeners -gt 0 ]; then
                    [ "$(listening | wc -l)" -ge $listeners ] && return
                else
                    consumed && return
                fi
                command sleep 0.1
            done
            fail timeout "$(jobs %+)"
        }
        # The network of the example is new: all its listeners (state 0A) belong to the example.
        listening() { awk '$4 == "0A"' /proc/net/tcp /proc/net/tcp6; }
        consumed() {
            curl --silent 'http://127.0.0.1:4151/stats?format=json' | jq --exit-status >/dev/null '
                [.topics[].channels[]] | length > 0
                    and all(.client_count > 0 and .depth + .in_flight_count == 0)'
        }
        """#

    @Test(
        .enabled(if: OwnNetwork.isPossible, "a network name space is needed"),
        arguments: commands)
    func `work in an empty folder`(command: String) throws {
        let folder = try TemporaryFolder()
        let script = try Self.examples(of: command).joined(separator: "\n")
        let shell = try OwnNetwork.run("\(Self.prelude)\n\(script)\n", in: folder.url)
        let status = shell.status(timeout: 600)
        let errors = shell.lines(of: .standardError)
        #expect(status == 0)
        #expect(
            !errors.contains {
                $0.contains("FAILED") || $0.hasPrefix("Error: ") || $0.contains("FATAL")
                    || $0.contains("unknown option") || $0.contains("ignored arguments")
            }, "\(errors.suffix(20))")
    }
}

@Suite(.blocking) struct `The help of an option` {
    @Test(arguments: [
        ("process", ["60s", "0ms", "1h"]), ("serve", ["60s", "0ms", "1h"]),
        ("demo", ["0ms", "2m", "30s"]),
    ])
    func `shows the default of a duration`(command: String, defaults: [String]) throws {
        let process = try BuiltProcess([command, "--help"], environment: ["COLUMNS": "1000"])
        #expect(process.status() == 0)
        let text = process.lines(of: .standardOutput).joined(separator: "\n")
        for duration in defaults { #expect(text.contains("(default: \(duration))")) }
    }
}

@Suite(.blocking) struct `Help in a narrow terminal` {
    @Test(arguments: ["0", "1", "-5", "10", "27", "text", "99999999999999999999"])
    func `is printed as a whole`(columns: String) throws {
        for command in [[], ["demo"], ["serve"], ["bench"]] {
            let process = try BuiltProcess(
                command + ["--help"], environment: ["COLUMNS": columns])
            #expect(process.status() == 0)
            #expect(process.lines(of: .standardOutput).contains("OPTIONS:"))
        }
    }
}

@Suite(.blocking) struct `Progress on a terminal` {
    /// Runs a demo in a pseudo-terminal, and returns what the terminal receives.
    private func output(columns: Int, rows: Int = 24, environment: [String: String] = [:]) throws
        -> String
    {
        let size = "stty cols \(columns) rows \(rows)"
        let process = try BuiltProcess(
            [
                "--quiet", "--return", "--command",
                "\(size); '\(BuiltProcess.tally.path)' demo --tcp-address=127.0.0.1:0 --plays=3000",
                "/dev/null",
            ], executable: URL(filePath: "/usr/bin/script"),
            environment: ["TERM": "xterm", "LC_ALL": "C.UTF-8"].merging(environment) { $1 })
        #expect(process.status() == 0)
        return process.lines(of: .standardOutput).joined(separator: "\n")
    }

    @Test(arguments: [20, 40, 61, 62, 80, 200])
    func `is narrower than the terminal`(columns: Int) throws {
        let lines = try output(columns: columns).replacing("\r\n", with: "\n")
            .replacing(#/\u{1b}\[[0-9;]*[A-Za-z]/#, with: "")
            .split(whereSeparator: \.isNewline).filter {
                $0.hasPrefix("  published") || $0.hasPrefix("  count")
            }
        #expect(lines.count >= 2)
        #expect(lines.allSatisfy { $0.count < columns }, "\(lines)")
    }

    @Test func `is plain text on a terminal that cannot move its cursor`() throws {
        #expect(!(try output(columns: 80, environment: ["TERM": "dumb"]).contains("\u{1b}")))
        let ascii = try output(columns: 80, environment: ["LC_ALL": "C"])
        #expect(ascii.contains("####") && !ascii.contains("█"))
    }
}
