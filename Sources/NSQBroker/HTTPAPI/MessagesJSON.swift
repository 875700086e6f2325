import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import TallyJSON

/// The JSON of unfinished messages and bulk operations.
enum MessagesJSON {
    static func page(_ page: MessagePage, _ format: MessageBodyFormat) -> [UInt8] {
        JSONWriter.object { json in
            json.name("messages")
            json.array(page.messages) { write($1, format, to: &$0) }
            json.name("next")
            if let last = page.last { json.add(last.text) } else { json.null() }
        }
    }

    private static func write(
        _ message: UnfinishedMessage, _ format: MessageBodyFormat, to json: inout JSONWriter
    ) {
        json.object { json in
            json.member("id", message.id.text)
            json.member("timestamp", Int(message.publishedAt))
            json.member("attempts", Int(message.attempts))
            switch message.state {
            case .ready: json.member("state", MessageFilter.State.ready.rawValue)
            case .inFlight(let holder, let timeLeft):
                json.member("state", MessageFilter.State.inFlight.rawValue)
                json.member("time_left_ms", timeLeft.milliseconds)
                json.name("client")
                json.object { json in
                    json.member("client_id", holder.clientID)
                    json.member("hostname", holder.hostname)
                    json.member("remote_address", holder.address)
                    json.member("user_agent", holder.userAgent)
                }
            case .deferred(let timeLeft, let due):
                json.member("state", MessageFilter.State.deferred.rawValue)
                json.member("time_left_ms", timeLeft.milliseconds)
                json.member("due", Int(due))
            }
            let body = format.body(message.body, isCut: message.isCut)
            json.member("body_bytes", message.bodyBytes)
            json.member("body_cut", message.isCut)
            json.member("body_format", body.format)
            json.member("body", body.text)
        }
    }

    static func operations(_ operations: [BulkOperation]) -> [UInt8] {
        JSONWriter.object { json in
            json.name("operations")
            json.array(operations) { write($1, to: &$0) }
        }
    }

    static func operation(_ operation: BulkOperation) -> [UInt8] {
        var json = JSONWriter()
        write(operation, to: &json)
        return json.bytes
    }

    private static func write(_ operation: BulkOperation, to json: inout JSONWriter) {
        json.object { json in
            json.member("operation", operation.number)
            json.member("topic", operation.topic.text)
            json.member("channel", operation.channelName.text)
            json.member("action", operation.action.name)
            if case .change(.move(let topic)) = operation.action { json.member("to", topic.text) }
            if case .change(.defer(let delay)) = operation.action {
                json.member("defer", delay.milliseconds)
            }
            json.member("state", operation.state.name)
            if case .failed(let error) = operation.state {
                json.member("error", HTTPFailure(error).code)
            }
            json.member("started", Int(operation.startedAt))
            json.member("messages", operation.messageCount)
            json.member("examined", operation.examinedCount)
            json.member("selected", operation.selectedCount)
            json.member("changed", operation.changedCount)
        }
    }
}

extension BulkOperation.Action {
    fileprivate var name: String {
        switch self {
        case .count: "count"
        case .change(.delete): "delete"
        case .change(.requeue): "requeue"
        case .change(.defer): "defer"
        case .change(.move): "move"
        }
    }
}

extension BulkOperation.State {
    fileprivate var name: String {
        switch self {
        case .running: "running"
        case .finished: "finished"
        case .cancelled: "cancelled"
        case .failed: "failed"
        }
    }
}
