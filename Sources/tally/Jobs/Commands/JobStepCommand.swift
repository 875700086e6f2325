import ArgumentParser
import Foundation
import NSQJobs
import UVLoop

/// `tally jobs step`: runs a part of a job only once, even if the job has several attempts.
struct JobStepCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step",
        abstract: "Runs a part of a job once, within a program of tally jobs work.",
        discussion: """
            The first attempt of a job that comes to the step runs the program, stores what it has \
            written to standard output as the result, and prints it. A later attempt prints the \
            stored result, and does not run the program.

            A program that fails leaves no result. This command then ends with its exit status.

            The results of a job are texts in UTF-8 of at most 4 MiB together. tally jobs work tells by the \
            environment variables TALLY_JOB_STORE, TALLY_JOB_ID and TALLY_JOB_VERSION which job \
            it is. A program of --keep does not have them, and uses lines instead.
            """
                + HelpText.examples(
                    #"""
                    tally jobs serve --store=jobs.sqlite & sleep 1
                    tally jobs enqueue order --args=7 --store=jobs.sqlite
                    tally jobs work --store=jobs.sqlite --until-empty -- sh -c '
                      id=$(tally jobs step pay -- echo invoice-9) && echo "sent $id"'
                    tally jobs show 1 --store=jobs.sqlite
                    kill $!
                    """#))

    @Argument(help: "The name of the step within the job.")
    var name: String

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The program and its arguments, after --.", valueName: "program"))
    var program: [String] = []

    func validate() throws {
        guard !program.isEmpty else {
            throw ValidationError("missing program: pass it and its arguments after --")
        }
    }

    func run() async throws {
        let job = try RunningJobOfProgram(ProcessInfo.processInfo.environment)
        let jobs = try await Jobs(store: .sqlite(job.store))
        do {
            let text = try await job.context(in: jobs).step(name) { () async throws -> String in
                try result(of: program)
            }
            await jobs.stop()
            FileHandle.standardOutput.write(Data(text.utf8))
        } catch {
            await jobs.stop()
            throw error
        }
    }

    private func result(of words: [String]) throws -> String {
        let end: CapturedProgram.End
        do throws(UVError) {
            end = try CapturedProgram.run(words, maxBytes: JobStep.maxTotalBytes)
        } catch {
            throw UsageError("cannot run program '\(words[0])': \(error)")
        }
        switch end {
        case .succeeded(let bytes):
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw UsageError("the result of step '\(name)' is not a text in UTF-8")
            }
            return text
        case .failed(let status): throw ExitCode(status)
        case .tooLong:
            throw UsageError(
                "the result of step '\(name)' has more than \(JobStep.maxTotalBytes) bytes")
        }
    }
}

/// The job for which a worker has started the program that has started this process. Environment
/// variables identify it.
private struct RunningJobOfProgram {
    let store: String
    private let id: JobID
    private let version: Int

    /// - Throws: `UsageError` if the variables are missing.
    init(_ variables: [String: String]) throws {
        guard let store = variables["TALLY_JOB_STORE"],
            let id = variables["TALLY_JOB_ID"].flatMap({ JobID($0) }),
            let version = variables["TALLY_JOB_VERSION"].flatMap({ Int($0) })
        else {
            throw UsageError(
                "tally jobs step runs within a program of tally jobs work (TALLY_JOB_STORE, "
                    + "TALLY_JOB_ID and TALLY_JOB_VERSION are not set)")
        }
        (self.store, self.id, self.version) = (store, id, version)
    }

    /// - Throws: `UsageError` if the worker no longer holds the job, or if the job is fleeting.
    func context(in jobs: Jobs) async throws -> JobContext {
        guard !id.isFleeting else { throw UsageError("a fleeting job has no steps") }
        guard let job = try await jobs.status(of: id), job.state == .running,
            job.version == version
        else { throw UsageError("the worker does not hold job \(id) any more") }
        return jobs.context(of: job)
    }
}
