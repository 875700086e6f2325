import NSQJobs
import TallyJSON

/// The JSON of the lists on the page. Arguments and errors are shortened to limit the size of a
/// response.
enum JobSummaryJSON {
    /// The maximum number of characters of arguments and errors in a list.
    static let maxCharacters = 160

    static func page(_ page: JobPage) -> [UInt8] {
        JSONWriter.object { json in
            json.name("jobs")
            json.array(page.jobs) { write($1, to: &$0) }
            json.member("next", page.next.map { Int($0.number) })
        }
    }

    private static func write(_ job: JobRecord, to json: inout JSONWriter) {
        json.object { json in
            json.member("id", Int(job.id.number))
            json.member("name", job.name)
            json.member("queue", job.queue)
            json.member("state", job.state.description)
            json.member("priority", job.priority.description)
            json.member("attempt", job.attempt)
            json.member("max_attempts", job.maxAttempts)
            json.member("tags", job.tags)
            let encrypted = EncryptedArguments.summary(of: job.arguments)
            json.member("arguments", shortened(encrypted ?? job.arguments))
            json.member("note", shortened(job.note ?? ""))
            json.member("created", job.createdAt.milliseconds)
            json.member("due", job.dueAt.milliseconds)
            for (name, time) in [("started", job.startedAt), ("finished", job.finishedAt)] {
                json.member(name, time?.milliseconds)
            }
        }
    }

    private static func shortened(_ text: String) -> String {
        // The text is first cut by bytes, because counting the characters of a long text is slow.
        let start = String(decoding: text.utf8.prefix(4 * maxCharacters + 4), as: UTF8.self)
        guard start.count > maxCharacters else { return start }
        return start.prefix(maxCharacters) + "…"
    }

    static func names(_ names: [String]) -> [UInt8] {
        JSONWriter.object { $0.member("names", names) }
    }

    static func actions(_ actions: [JobAction]) -> [UInt8] {
        JSONWriter.object { json in
            json.name("actions")
            json.array(actions) { JobsPageJSON.write($1, to: &$0) }
        }
    }

    static func preview(_ preview: JobQueryPreview) -> [UInt8] {
        JSONWriter.object { json in
            json.member("count", preview.count)
            json.member("complete", preview.isComplete)
        }
    }
}
