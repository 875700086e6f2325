/// A limit of the memory of all request bodies of a server.
///
/// A body that would exceed the limit is refused. The deadlines of connections end bodies that a
/// client never completes.
package final class HTTPBodyBudget: HTTPBodyMemory {
    private let maxBytes: Int
    private let refusal: HTTPResponse
    private var usedBytes = 0

    /// Creates a budget.
    ///
    /// - Parameters:
    ///   - maxBytes: the maximum size of all bodies together.
    ///   - refusal: the response to a body that exceeds it.
    package init(maxBytes: Int, refusal: HTTPResponse) {
        self.maxBytes = maxBytes
        self.refusal = refusal
    }

    package func add(_ byteCount: Int, toBodyOf bodyBytes: Int) -> HTTPResponse? {
        guard usedBytes + byteCount <= maxBytes else { return refusal }
        usedBytes += byteCount
        return nil
    }

    package func remove(_ byteCount: Int) { usedBytes -= byteCount }
}
