import BrokerCore
import HTTP
import NSQWire
import TallyBasics

/// Handles `/topic/messages`, `/channel/messages` and `/message/…`, which nsqd does not have.
extension BrokerHTTPService {
    // MARK: Reading

    /// The maximum number of pages that are read at the same time. Each reads up to one segment from disk
    /// in a loop iteration.
    private static let maxPageReaders = 4

    /// Responds with a page of messages, or with one message.
    ///
    /// The page is read in portions, each in a loop iteration of its own.
    func respondWithMessages(
        of query: MessageQuery, _ respond: @escaping (HTTPResponse) -> Void
    ) throws(HTTPFailure) {
        let topic = try query.topic()
        let channel = try query.queueChannel()
        let format = try query.format()
        let bodyBytes = try query.bodyBytes()
        if let id = try query.messageID("id") {
            let message = try inspect { () throws(InspectionError) in
                try broker.message(id, of: topic, channel, bodyBytes: bodyBytes, at: server.now)
            }
            var page = MessagePage()
            page.messages = [message]
            return respond(.nsqJSON(MessagesJSON.page(page, format)))
        }
        let reader = MessagePageReader(
            topic: topic, channel: channel, filter: try query.filter(at: server.now),
            limit: try query.limit(), bodyBytes: bodyBytes)
        var page = MessagePage(after: try query.messageID("after"))
        guard pageReaderCount < Self.maxPageReaders else { throw .tooManyOperations }
        pageReaderCount += 1
        var hasFailed = true
        defer { if hasFailed { pageReaderCount -= 1 } }
        try inspect { () throws(InspectionError) in
            // The first portion shows whether the queue exists.
            try reader.read(&page, from: broker, on: server.loop) { [self] result in
                pageReaderCount -= 1
                switch result {
                case .success(let page): respond(.nsqJSON(MessagesJSON.page(page, format)))
                case .failure(let error): respond(.failure(HTTPFailure(error)))
                }
            }
        }
        hasFailed = false
    }

    // MARK: Changes

    /// Changes one message, and responds once the change is durable.
    func change(
        _ change: BrokerRoute.MessageChange, _ query: MessageQuery,
        _ respond: @escaping (HTTPResponse) -> Void
    ) throws(HTTPFailure) {
        let (topic, channel) = (try query.topic(), try query.channel())
        try query.refuse("preview")
        let (id, attempts) = (try query.id(), try query.attempts())
        let action = try query.action(change, maxDelay: broker.options.maxRequeueTimeout)
        try inspect { () throws(InspectionError) in
            try broker.perform(
                action, on: id, attempts: attempts, of: topic, channel, at: server.now
            ) { respond($0 == nil ? .done : .failure(.notStored)) }
        }
    }

    /// Starts a change of all selected messages, or only counts them.
    func startBulkChange(
        _ change: BrokerRoute.MessageChange, _ query: MessageQuery
    ) throws(HTTPFailure) -> HTTPResponse {
        let (topic, channel) = (try query.topic(), try query.channel())
        let action = try query.action(change, maxDelay: broker.options.maxRequeueTimeout)
        for name in ["id", "attempts"] { try query.refuse(name) }
        let isPreview = try query.isPreview()
        let filter = try query.filter(at: server.now)
        let operation = try inspect { () throws(InspectionError) in
            try broker.startBulkOperation(
                isPreview ? .count : .change(action), filter, of: topic, channel, at: server.now)
        }
        return .nsqJSON(MessagesJSON.operation(operation))
    }

    var bulkOperations: HTTPResponse {
        .nsqJSON(MessagesJSON.operations(broker.allBulkOperations))
    }

    func cancelBulkOperation(_ query: MessageQuery) throws(HTTPFailure) -> HTTPResponse {
        let number = try query.operation()
        let operation = try inspect { () throws(InspectionError) in
            try broker.cancelBulkOperation(number, at: server.now)
        }
        return .nsqJSON(MessagesJSON.operation(operation))
    }

    /// Calls the broker, and converts its error.
    private func inspect<Value>(
        _ body: () throws(InspectionError) -> Value
    ) throws(HTTPFailure) -> Value {
        do throws(InspectionError) {
            return try body()
        } catch {
            throw HTTPFailure(error)
        }
    }
}

extension HTTPFailure {
    init(_ error: InspectionError) {
        switch error {
        case .topicNotFound: self = .topicNotFound
        case .channelNotFound: self = .channelNotFound
        case .messageNotFound: self = .messageNotFound
        case .attemptsDiffer: self = .attemptsDiffer
        case .sameTopic: self = .sameTopic
        case .tooManyTopics: self = .tooManyTopics
        case .memoryIsFull: self = .memoryIsFull
        case .destinationIsFull: self = .destinationIsFull
        case .stopping: self = .exiting
        case .unreadable: self = .unreadable
        case .notStored: self = .notStored
        case .tooManyOperations: self = .tooManyOperations
        case .operationNotFound: self = .operationNotFound
        }
    }
}
