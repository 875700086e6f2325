import NSQJobs
import TallyJSON

/// A line that a persistent program (one that performs several jobs) writes about a step of its job.
/// `{"id":7,"step":"pay"}` requests the stored result of the step, and
/// `{"id":7,"step":"pay","output":9}` stores its result.
///
/// The answer is `{"id":7,"step":"pay","completed":false}`, or
/// `{"id":7,"step":"pay","completed":true,"output":9}`.
struct JobStepLine {
    private let step: String
    /// The result to store, as JSON; `nil` if the line requests the stored result.
    private let output: [UInt8]?

    /// Parses a line; `nil` if it is not about a step of the job.
    init?(parsing line: [UInt8], of job: JobRecord) {
        guard let value = try? JSONValue(parsingStrictly: line, maxDepth: 64),
            value["id"].flatMap({ Int(json: $0) }) == Int(job.id.number),
            let step = value["step"].flatMap({ String(json: $0) })
        else { return nil }
        self.step = step
        output = value["output"].map { JSONWriter.value($0) }
    }

    /// Stores or reads the step.
    ///
    /// - Returns: the line that the program reads.
    /// - Throws: an error of ``JobContext/step(_:_:)-(_,()->Value)``.
    func answer(in context: JobContext) async throws -> [UInt8] {
        if let output {
            try await context.storeStep(step, json: String(decoding: output, as: UTF8.self))
        }
        let stored = try await context.storedStep(step)
        var bytes = JSONWriter.object { object in
            object.member("id", Int(context.id.number))
            object.member("step", step)
            object.member("completed", stored != nil)
        }
        if let stored {
            bytes.removeLast()
            bytes += #","output":"#.utf8
            // In JSON, a line end can only be white space between tokens, so replacing it by a
            // space does not change the value.
            bytes += stored.utf8.map { $0 == 0x0a || $0 == 0x0d ? 0x20 : $0 }
            bytes.append(UInt8(ascii: "}"))
        }
        return bytes + [UInt8(ascii: "\n")]
    }
}
