import TallyJSON

/// The body of a message that wakes a worker: `{"id":7,"version":1,"name":"SendReport"}`.
///
/// The message is only a hint. The worker reads the stored job when it claims the job, so a duplicated,
/// late or invented message has no effect.
package struct JobMessage: Hashable, Sendable {
    package let reference: JobReference
    package let name: String

    package init(_ reference: JobReference, name: String) {
        self.reference = reference
        self.name = name
    }

    /// Parses a body; `nil` if it is not such a message. Unknown members are ignored.
    package init?(parsing body: some Sequence<UInt8>) {
        guard let members = (try? JSONValue.flatObject(parsingLikeGo: body)) ?? nil else {
            return nil
        }
        var (id, version, name) = (Int?.none, Int?.none, "")
        for member in members {
            switch (member.name, member.value) {
            case ("id", .number(let digits)): id = Int(digits)
            case ("version", .number(let digits)): version = Int(digits)
            case ("name", .string(let text)): name = text
            default: break
            }
        }
        guard let id, let version, id > 0, version > 0 else { return nil }
        self.init(JobReference(id: JobID(Int64(id)), version: version), name: name)
    }

    package var body: [UInt8] {
        JSONWriter.object { object in
            object.member("id", Int(reference.id.number))
            object.member("version", reference.version)
            object.member("name", name)
        }
    }
}
