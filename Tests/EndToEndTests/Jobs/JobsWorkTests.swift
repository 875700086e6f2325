import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The command tally jobs work` {
    private let jobs: JobsFolder
    private let broker: BuiltProcess
    private let address: String

    init() throws {
        jobs = try JobsFolder()
        (broker, address) = try BuiltProcess.broker()
    }

    private func worker(_ words: String..., script: String) throws -> BuiltProcess {
        try jobs.start(
            ["work", "--nsqd-tcp-address=\(address)"] + words + ["--", "sh", "-c", script])
    }

    /// Performs all jobs, and returns the lines of standard output.
    @discardableResult
    private func perform(_ words: String..., script: String) throws -> [String] {
        let process = try jobs.start(
            ["work", "--nsqd-tcp-address=\(address)", "--until-empty"] + words
                + ["--", "sh", "-c", script])
        #expect(process.status() == 0, "\(process.lines(of: .standardError))")
        return process.lines(of: .standardOutput)
    }

    private func contents(_ name: String) -> String? {
        try? String(contentsOfFile: jobs.folder.path(name), encoding: .utf8)
    }

    @Test func `passes arguments on standard input and the job in variables`() throws {
        try jobs.run("enqueue", "greet", "--args={\"a\":[1]}", "--queue=q", "--max-attempts=4")
        let lines = try perform(
            "--queue=q",
            script: """
                cat; echo " $TALLY_JOB_ID $TALLY_JOB_NAME $TALLY_JOB_QUEUE $TALLY_JOB_ATTEMPT \
                $TALLY_JOB_MAX_ATTEMPTS"
                """)
        #expect(lines == [#"{"a":[1]} 1 greet q 1 4"#])
        #expect(try jobs.show(1).state == "completed")
    }

    @Test func `runs each step of a job once over its attempts`() throws {
        try jobs.run("enqueue", "order", "--max-attempts=3", "--retry-delay=0s")
        let tally = BuiltProcess.tally.path
        let script = """
            paid=$(\(tally) jobs step 'create invoice' -- \
              sh -c 'echo created >>log; echo "invoice 9"; echo ü') || exit 1
            \(tally) jobs step fail -- sh -c 'exit 7'
            [ $? = 7 ] || exit 2
            \(tally) jobs step "$(printf 'a\\nb')" -- true && exit 3
            \(tally) jobs step none -- /none/program && exit 4
            echo "$TALLY_JOB_ATTEMPT $paid" | tr '\\n' ' '; echo
            [ $TALLY_JOB_ATTEMPT = 3 ]
            """
        // A run may end before the next attempt is due.
        var lines: [String] = []
        #expect(
            try eventually {
                lines += try perform(script: script)
                return try jobs.show(1).state == "completed"
            })
        #expect(lines == (1...3).map { "\($0) invoice 9 ü " })
        #expect(contents("log") == "created\n")
        #expect(try jobs.run("show", "1").contains { $0.hasPrefix("step create invoice: ") })
        let outside = try BuiltProcess(["jobs", "step", "a", "--", "true"])
        #expect(outside.status() == 1)
        #expect(outside.line(containing: "runs within a program of tally jobs work") != nil)
    }

    @Test func `passes arguments of a megabyte to a program that does not read them`() throws {
        let path = jobs.folder.path("large")
        try ("\"" + String(repeating: "a", count: 1_000_000) + "\"")
            .write(toFile: path, atomically: false, encoding: .utf8)
        try jobs.run("enqueue", "large", "--args-file=\(path)")
        try perform(script: "exit 0")
        try jobs.run("enqueue", "large", "--args-file=\(path)")
        #expect(try perform(script: "wc -c").map { $0.filter(\.isNumber) } == ["1000002"])
    }

    /// Answers each line with a result that depends on the name of the job.
    private static let persistentProgram = """
        echo started >>starts
        while read -r line; do
            id=${line#*:}; id=${id%%,*}; name=${line#*name\\":\\"}; name=${name%%\\"*}
            printf '%s\\n' "$line" >>lines
            case $name in
                die) echo why >&2; exit 3 ;;
                hang) sleep 600 ;;
                babble) echo hello ;;
                bad) echo "{\\"id\\":$id,\\"result\\":\\"failed\\",\\"error\\":\\"no route\\"}" ;;
                useless) echo "{\\"id\\":$id,\\"result\\":\\"discarded\\",\\"error\\":\\"useless\\"}" ;;
                later) echo "{\\"id\\":$id,\\"result\\":\\"snoozed\\",\\"delay_seconds\\":3600}" ;;
                *) echo "{\\"id\\":$id,\\"result\\":\\"completed\\"}" ;;
            esac
        done
        echo ended >>starts
        """

    @Test func `with --keep passes many jobs to one program, which ends with its input`() throws {
        for number in 1...20 { try jobs.run("enqueue", "n", "--args={\"a\":\n\(number)}") }
        try perform("--keep", script: Self.persistentProgram)
        #expect(contents("starts") == "started\nended\n")
        let lines = contents("lines")?.split(separator: "\n") ?? []
        #expect(lines.count == 20)
        let first =
            #"{"id":1,"name":"n","queue":"default","attempt":1,"max_attempts":20,"arguments":{"a": 1}}"#
        #expect(lines.contains { $0 == first })
        #expect(try jobs.show(20).state == "completed")
    }

    @Test func `with --keep ends attempts as the program answers, and replaces one that ends`()
        throws
    {
        for name in ["die", "hang", "babble", "bad", "useless", "later", "n"] {
            try jobs.run("enqueue", name, "--max-attempts=1")
        }
        try perform(
            "--keep", "--time-limit=1s", "--kill-delay=100ms", script: Self.persistentProgram)
        let ended = try (1...7).map { try jobs.show($0) }
        #expect(
            ended.map(\.state) == [
                "discarded", "discarded", "discarded", "discarded", "discarded", "scheduled",
                "completed",
            ])
        #expect(ended[0].note == "ended without an answer: exit status 3: why")
        #expect(ended[1].note == "ran longer than 1.0 seconds and was ended")
        #expect(
            ended[2].note == "the program answered 'hello', and not as the protocol demands")
        #expect(ended[3].note == "no route" && ended[4].note == "useless")
        #expect(contents("starts")?.split(separator: "\n").count { $0 == "started" } == 4)
    }

    @Test func `with --keep runs each step of a job once over its attempts`() throws {
        try jobs.run("enqueue", "order", "--max-attempts=3", "--retry-delay=1ms")
        let script = #"""
            while read -r line; do
                echo '{"id":1,"step":"pay"}'; read -r reply
                case $reply in
                    *'"completed":false}') echo paid >>log
                        echo '{"id":1,"step":"pay","output":{"invoice":9}}'; read -r reply ;;
                esac
                printf '%s\n' "$reply" >>replies
                case $line in
                    *'"attempt":3'*) echo '{"id":1,"result":"completed"}' ;;
                    *'"attempt":2'*) echo '{"id":1,"step":""}' ;;
                    *) echo '{"id":1,"result":"failed","error":"x"}' ;;
                esac
            done
            """#
        #expect(
            try eventually {
                try perform("--keep", script: script)
                return try jobs.show(1).state == "completed"
            })
        #expect(contents("log") == "paid\n")
        let reply = #"{"id":1,"step":"pay","completed":true,"output":{"invoice":9}}"# + "\n"
        #expect(contents("replies") == reply + reply + reply)
        #expect(try jobs.show(1).attempts?[1].error?.contains("invalid step name ''") == true)
    }

    @Test func `fails an attempt with the end of standard error, and retries`() throws {
        try jobs.run("enqueue", "bad", "--max-attempts=2", "--retry-delay=1ms")
        let script = "seq 2000 >&2; echo oops >&2; exit 3"
        // The first run may end before the second attempt is due.
        #expect(
            try eventually {
                try perform(script: script)
                return try jobs.show(1).state == "discarded"
            })
        let job = try jobs.show(1)
        #expect(job.note?.hasPrefix("exit status 3: …") == true)
        #expect(job.note?.hasSuffix("2000\noops") == true)
        #expect((job.note?.utf8.count ?? .max) < 4_200)
        #expect(job.attempts?.map(\.result) == ["failed", "failed"])
    }

    @Test func `snoozes a job whose program ends with status 75, without an attempt`() throws {
        try jobs.run("enqueue", "later", "--max-attempts=1")
        try perform("--snooze=1h", script: "exit 75")
        let job = try jobs.show(1)
        #expect(job.state == "scheduled" && job.attempt == 0)
    }

    @Test func `fails the job of a program that a signal ends`() throws {
        try jobs.run("enqueue", "bad", "--max-attempts=1")
        try perform(script: "kill -SEGV $$")
        #expect(try jobs.show(1).note?.hasPrefix("ended by signal 11") == true)
    }

    @Test func `ends a program and its children that run too long`() throws {
        try jobs.run("enqueue", "stuck", "--max-attempts=1")
        // The child ignores SIGTERM, so it is killed.
        try perform(
            "--time-limit=300ms", "--kill-delay=100ms",
            script: "(trap '' TERM; echo $$ >leader; while :; do sleep 0.1; done) & wait; sleep 60")
        #expect(try jobs.show(1).note == "ran longer than 0.3 seconds and was ended")
        #expect(programs().isEmpty)
    }

    @Test func `kills a program that uses too much memory`() throws {
        try jobs.run("enqueue", "fat", "--max-attempts=1")
        try perform(
            "--memory-limit-mib=60",
            script: "perl -e '$x = \"a\" x 200_000_000; print STDERR \"full\"; sleep 60'; :")
        let note = try #require(try jobs.show(1).note)
        #expect(note.contains("of memory, more than 60 MiB, and was killed"))
    }

    @Test func `cancels a running program`() throws {
        try jobs.run("enqueue", "long")
        let process = try worker(script: "echo $$ >leader; sleep 60")
        #expect(eventually { contents("leader") != nil })
        #expect(
            try jobs.run("cancel", "1")
                == ["job 1 of queue 'default' is running, cancellation requested"])
        #expect(try eventually { try jobs.show(1).state == "cancelled" })
        #expect(eventually { programs(besides: process).isEmpty })
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }

    @Test func `waits for running programs after SIGTERM, and takes no more jobs`() throws {
        try jobs.run("enqueue", "slow")
        let process = try worker(
            script: "echo $$ >leader; while ! [ -e go ]; do sleep 0.05; done")
        #expect(eventually { contents("leader") != nil })
        process.send(SIGTERM)
        #expect(process.line(containing: "waiting for the running ones") != nil)
        try jobs.run("enqueue", "other")
        try "".write(toFile: jobs.folder.path("go"), atomically: false, encoding: .utf8)
        #expect(process.status() == 0)
        #expect(try jobs.show(1).state == "completed")
        #expect(try jobs.show(2).state == "available")
    }

    @Test func `releases a job that outlasts the stop timeout, without an attempt`() throws {
        try jobs.run("enqueue", "slow")
        let process = try worker("--stop-timeout=100ms", script: "echo $$ >leader; sleep 60")
        #expect(eventually { contents("leader") != nil })
        process.send(SIGTERM)
        #expect(process.status() == 0)
        let job = try jobs.show(1)
        #expect(job.state == "available" && job.attempt == 0)
        #expect(programs().isEmpty)
    }

    @Test(arguments: [[SIGTERM, SIGTERM], [SIGKILL]])
    func `leaves no program behind when it ends at once`(signals: [Int32]) throws {
        try jobs.run("enqueue", "slow")
        let process = try worker(
            "--lease=1s",
            script: "trap '' TERM; echo $$ >leader; (trap '' TERM; sleep 60) & sleep 60 & wait")
        #expect(eventually { contents("leader") != nil })
        #expect(eventually { programs(besides: process).count >= 4 })
        for (index, signal) in signals.enumerated() {
            if index > 0 { _ = process.line(containing: "waiting for the running ones") }
            process.send(signal)
        }
        #expect(process.status() == (signals == [SIGKILL] ? -SIGKILL : 128 + SIGTERM))
        #expect(eventually { programs().isEmpty })
        // Another worker performs the job after the end of the lease, and the attempt counts.
        #expect(
            try eventually {
                try perform(script: "exit 0")
                return try jobs.show(1).state == "completed"
            })
        #expect(try jobs.show(1).attempts?.map(\.result).first == "leaseExpired")
    }

    /// The process IDs of the programs that workers have started and that still run. They are found by
    /// their working directory, the folder of the test.
    private func programs(besides worker: BuiltProcess? = nil) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { id in
            let folder = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/\(id)/cwd")
            return folder == jobs.folder.url.resolvingSymlinksInPath().path
                && id != worker?.processID
        }
    }
}
