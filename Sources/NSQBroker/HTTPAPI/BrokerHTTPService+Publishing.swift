import BrokerCore
import HTTP
import NSQWire
import TallyBasics

/// Handles `/pub` and `/mpub`.
extension BrokerHTTPService {
    func publish(_ request: HTTPRequest) throws(HTTPFailure) {
        guard !request.body.isEmpty else { throw .messageEmpty }
        let query = try query(of: request)
        let topic = try topicToCreate(in: query)
        // As in nsqd, the topic is created before the deferral is checked.
        broker.createTopic(topic, at: server.now)
        let delay = try deferral(in: query)
        try request.body.withBytes { message throws(PublishError) in
            try broker.publish(message, to: topic, deferredBy: delay, at: server.now)
        }
    }

    private func deferral(in query: HTTPQuery) throws(HTTPFailure) -> Duration {
        guard let text = query["defer"] else { return .zero }
        guard let milliseconds = Int(text),
            (0...broker.options.maxRequeueTimeout.milliseconds).contains(milliseconds)
        else { throw .invalidDefer }
        return .milliseconds(milliseconds)
    }

    /// Checks and creates the topic before the body is received, as nsqd does.
    func multiPublishPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        let limit = broker.options.maxBodyBytes
        if case .bytes(let count) = request.bodyLength, count > limit {
            return .refuse(.failure(.bodyTooBig))
        }
        do throws(HTTPFailure) {
            broker.createTopic(try topicToCreate(in: query(of: request)), at: server.now)
        } catch {
            return .refuse(.failure(error))
        }
        return .collect(limit: limit, tooLarge: .failure(.bodyTooBig))
    }

    func multiPublish(_ request: HTTPRequest) throws(HTTPFailure) {
        let query = try query(of: request)
        let topic = try topicToCreate(in: query)
        let isBinary = GoText.bool(query["binary"], absent: false, other: true)
        let batch =
            isBinary ? try binaryBatch(request.body) : try textBatch(request.body)
        try batch.bytes.withBytes { messages throws(PublishError) in
            try broker.publish(batch.count, from: messages, to: topic, at: server.now)
        }
    }

    /// The messages of an `/mpub` request in the format of the MPUB command, in which the length
    /// precedes each message.
    private struct Batch {
        var count: Int
        var bytes: [UInt8]
    }

    /// Parses a body with one message per line. Empty lines are ignored.
    private func textBatch(_ body: [UInt8]) throws(HTTPFailure) -> Batch {
        var batch = Batch(count: 0, bytes: [])
        batch.bytes.reserveCapacity(body.count + 64)
        for line in body.split(separator: UInt8(ascii: "\n")) {
            guard line.count <= broker.options.maxMessageBytes else { throw .messageTooBig }
            batch.bytes.append(bigEndian: Int32(line.count))
            batch.bytes += line
            batch.count += 1
        }
        return batch
    }

    private func binaryBatch(_ body: [UInt8]) throws(HTTPFailure) -> Batch {
        let lengthBytes = MemoryLayout<Int32>.size
        func number(at offset: Int) -> Int? {
            guard body.count - offset >= lengthBytes else { return nil }
            return body.withUnsafeBytes { Int($0.bigEndian(at: offset, as: Int32.self)) }
        }
        guard let count = number(at: 0),
            (1...max(1, broker.options.maxMessagesPerBody)).contains(count)
        else { throw .badBody }
        var offset = lengthBytes
        for _ in 0..<count {
            guard let size = number(at: offset),
                (1...broker.options.maxMessageBytes).contains(size),
                body.count - offset - lengthBytes >= size
            else { throw .badMessage }
            offset += lengthBytes + size
        }
        // Bytes after the last message are ignored.
        return Batch(count: count, bytes: Array(body[lengthBytes..<offset]))
    }
}

extension [UInt8] {
    /// Calls `publish` with the bytes, and converts the error that it throws.
    fileprivate func withBytes(
        _ publish: (Bytes) throws(PublishError) -> Void
    ) throws(HTTPFailure) {
        var refusal: PublishError?
        withUnsafeBytes { bytes in
            do throws(PublishError) { try publish(bytes) } catch { refusal = error }
        }
        switch refusal {
        case nil: return
        case .refused(.draining): throw .draining
        case .refused(.stopping): throw .exiting
        case .memoryIsFull: throw .memoryIsFull
        }
    }
}
