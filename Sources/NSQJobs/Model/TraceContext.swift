import Foundation

/// The context of the trace in which a job was enqueued: names and values that a tracer has injected,
/// such as `traceparent` and `tracestate` of W3C Trace Context.
package enum TraceContext {
    private static let maxCount = 16
    private static let maxBytes = 2_048

    /// Returns a context, or an empty one if it is larger than the store keeps: 16 values of 2 KiB together.
    /// A job must not fail because of its trace.
    static func bounded(_ values: [String: String]) -> [String: String] {
        let size = values.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        return values.count <= maxCount && size <= maxBytes ? values : [:]
    }

    /// A context as JSON; `nil` for an empty one.
    static func encode(_ values: [String: String]) -> String? {
        guard !values.isEmpty, let data = try? JobCoding.encoder.encode(values) else { return nil }
        return String(decoding: data, as: UTF8.self)
    }

    /// Decodes JSON. An invalid text, which another program has written, gives an empty context.
    static func decode(_ text: String?) -> [String: String] {
        guard let text else { return [:] }
        return (try? JobCoding.decoder.decode([String: String].self, from: Data(text.utf8))) ?? [:]
    }

    /// Returns the context of a `traceparent` of version 00, and a `tracestate`; empty if `parent` is
    /// not valid, because W3C Trace Context requires ignoring it.
    package static func w3c(parent: String?, state: String?) -> [String: String] {
        guard let parent, isParent(parent) else { return [:] }
        var values = ["traceparent": parent]
        if let state, !state.isEmpty, state.utf8.count <= 512 { values["tracestate"] = state }
        return values
    }

    /// Returns `true` for `00-TRACE-SPAN-FLAGS` in lower-case hexadecimal digits, with IDs other than zero.
    private static func isParent(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.count == 4, parts.map(\.count) == [2, 32, 16, 2],
            parts[0].elementsEqual("00".utf8)
        else { return false }
        let isHexadecimal = parts.joined().allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
        }
        return isHexadecimal && parts[1...2].allSatisfy { $0.contains { $0 != UInt8(ascii: "0") } }
    }
}
