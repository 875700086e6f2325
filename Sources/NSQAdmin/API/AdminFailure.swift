/// The status and the text of a request that failed, as nsqadmin reports them.
struct AdminFailure: Error, Equatable {
    let status: Int
    let message: String

    static let forbidden = AdminFailure(status: 403, message: "FORBIDDEN")
    static let invalidRequest = AdminFailure(status: 400, message: "INVALID_REQUEST")
    static let invalidBody = AdminFailure(status: 400, message: "INVALID_BODY")
    static let invalidTopic = AdminFailure(status: 400, message: "INVALID_TOPIC")
    static let invalidChannel = AdminFailure(status: 400, message: "INVALID_CHANNEL")
    static let invalidAction = AdminFailure(status: 400, message: "INVALID_ACTION")
    static let invalidMetric = AdminFailure(status: 400, message: "INVALID_ARG_METRIC")
    static let invalidTarget = AdminFailure(status: 400, message: "INVALID_ARG_TARGET")
    static let invalidOption = AdminFailure(status: 400, message: "INVALID_OPTION")
    static let invalidValue = AdminFailure(status: 400, message: "INVALID_VALUE")
    static let valueTooBig = AdminFailure(status: 413, message: "INVALID_VALUE")
    static let notFound = AdminFailure(status: 404, message: "NOT_FOUND")
    static let nodeNotFound = AdminFailure(status: 404, message: "NODE_NOT_FOUND")
    static let internalError = AdminFailure(status: 500, message: "INTERNAL_ERROR")

    /// The error for a request to which no server of the cluster has given a usable response.
    static func upstream(_ error: UpstreamError) -> AdminFailure {
        AdminFailure(status: 502, message: "UPSTREAM_ERROR: \(error)")
    }

    /// The error for a body that is malformed, or lacks a value that the route needs.
    static func badBody(_ reason: String) -> AdminFailure {
        AdminFailure(status: 400, message: reason)
    }
}
