import TallyJSON

/// The body of a request: a JSON object with texts, parsed as leniently as Go's nsqadmin does.
///
/// Go's nsqadmin ignores bytes after the object. This parser refuses them, because they are a
/// mistake of the client.
struct AdminBody {
    private let members: [JSONValue.Member]

    /// The maximum size of a body in bytes.
    static let maxBytes = 1 << 20

    /// - Throws: an ``AdminFailure`` with Go's error text for an empty body, or with a description of
    ///   the mistake.
    init(_ body: [UInt8]) throws(AdminFailure) {
        guard !body.isEmpty else { throw .badBody("EOF") }
        do throws(JSONError) {
            members = try JSONValue.flatObject(parsingLikeGo: body) ?? []
        } catch {
            throw .badBody("the body is not a JSON object")
        }
    }

    /// Returns the text of a member, whose name may be in any case; empty if it is missing.
    func text(_ name: String) throws(AdminFailure) -> String {
        var text = ""
        for member in members where member.name.lowercased() == name {
            do throws(JSONError) {
                try member.value.read(into: &text)
            } catch {
                throw .badBody("the member \(name) is not a text")
            }
        }
        return text
    }
}
