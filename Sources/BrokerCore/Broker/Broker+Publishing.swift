import NSQWire
import TallyBasics

/// Execution of PUB, DPUB and MPUB.
extension Broker {
    /// Returns the topic of the session's last publish if the command line names the same topic.
    /// Reusing the topic saves the parsing of its name.
    @inline(__always)
    func lastTopic(of session: Session, _ line: CommandLine) -> Topic? {
        guard let topic = session.publishCounts.lastTopic, !topic.isDeleted else { return nil }
        var parameters = line.parameters
        guard let word = parameters.next(), topic.isNamed(word) else { return nil }
        return topic
    }

    /// Executes PUB.
    ///
    /// - Parameters:
    ///   - known: the topic, if the caller has already found it.
    ///   - name: the name of the topic, if `known` is `nil`.
    /// - Returns: `false` if the body is incomplete or the command waits for an authorization.
    func publish(
        to known: Topic?, named name: TopicName? = nil, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        guard let message = try readSizedBody(&body, .publish),
            try checkPermission(.publish, known?.name ?? name!, of: session)
        else { return false }
        try expectCapacity(for: 1, bodyBytes: message.count, .publishFailed, .publish)
        let topic =
            if let known { known } else { try topic(name!, .publishFailed, .publish) }
        topic.publish(message)
        didPublish(1, to: topic, by: session, .publish)
        return true
    }

    /// Executes DPUB.
    ///
    /// - Returns: `false` if the body is incomplete or the command waits for an authorization.
    func publish(
        to name: TopicName, deferredBy milliseconds: Int, _ body: inout BodyReader,
        _ session: Session
    ) throws(ProtocolError) -> Bool {
        let longest = options.maxRequeueTimeout.milliseconds
        guard milliseconds <= longest else {
            throw ProtocolError(
                .invalid, .deferredPublish, "timeout \(milliseconds) out of range 0-\(longest)")
        }
        guard let message = try readSizedBody(&body, .deferredPublish),
            try checkPermission(.deferredPublish, name, of: session)
        else { return false }
        try expectCapacity(
            for: 1, bodyBytes: message.count,
            deferredBytes: UndispatchedMessages.deferredBytes(
                channelCount: topics[name]?.channels.count ?? 0),
            .deferredPublishFailed, .deferredPublish)
        let topic = try topic(name, .deferredPublishFailed, .deferredPublish)
        if milliseconds == 0 {
            topic.publish(message)
        } else {
            let deadline = context.now.monotonic + Int64(milliseconds) * 1_000_000
            topic.publish(message, deferredUntil: deadline)
        }
        didPublish(1, to: topic, by: session, .deferredPublish)
        return true
    }

    /// Reads the size and the body of one message.
    ///
    /// - Returns: `nil` if the message is incomplete.
    /// - Throws: `E_BAD_MESSAGE` if the size is not allowed.
    private func readSizedBody(
        _ body: inout BodyReader, _ verb: Verb
    ) throws(ProtocolError) -> Bytes? {
        guard let size = body.int32() else { return nil }
        guard size > 0 else {
            throw ProtocolError(
                .badMessage, verb, "invalid message body size \(size)")
        }
        try expectAllowedSize(size, verb)
        return body.read(size)
    }

    private func expectAllowedSize(_ size: Int, _ verb: Verb) throws(ProtocolError) {
        guard size <= options.maxMessageBytes else {
            throw ProtocolError(
                .badMessage, verb, "message too big \(size) > \(options.maxMessageBytes)"
            )
        }
    }

    /// Executes MPUB.
    ///
    /// - Returns: `false` if the body is incomplete or the command waits for an authorization.
    func multiPublish(
        to name: TopicName, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        guard try checkPermission(.multiPublish, name, of: session) else { return false }
        // As in nsqd, the topic is created before the batch is read.
        let topic = try topic(name, .multiPublishFailed, .multiPublish)
        guard let total = body.int32() else { return false }
        guard total > 0 else {
            throw ProtocolError(.badBody, .multiPublish, "invalid body size \(total)")
        }
        guard total <= options.maxBodyBytes else {
            throw ProtocolError(
                .badBody, .multiPublish, "body too big \(total) > \(options.maxBodyBytes)")
        }
        guard let count = body.int32() else { return false }
        guard count > 0, count <= options.maxMessagesPerBody else {
            throw ProtocolError(.badBody, .multiPublish, "invalid message count \(count)")
        }
        guard let batch = try batch(of: count, &body, session) else { return false }
        try expectCapacity(
            for: count, bodyBytes: batch.count - 4 * count, .multiPublishFailed, .multiPublish)
        context.chargeCommand(WorkCost.messages(count))
        topic.publish(count, from: batch)
        didPublish(count, to: topic, by: session, .multiPublish)
        return true
    }

    /// Reads `count` messages with their sizes. All sizes are checked before any message is
    /// published, so that the batch is published as a whole or not at all.
    ///
    /// - Returns: the bytes of the batch; `nil` if it has not arrived completely.
    private func batch(
        of count: Int, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bytes? {
        let start = body.offset
        // As in nsqd, the body size in the command is not compared with the sizes of the messages.
        // A limit is still needed for the bytes that are buffered until the last message arrives.
        let limit = start - 4 + options.maxBodyBytes
        var index = 0
        if let checked = session.checkedBatch {
            body.skip(to: body.commandStart + checked.offset)
            index = checked.index
        }
        while index < count {
            let messageStart = body.offset
            guard let size = body.int32() else { return pause(at: messageStart) }
            guard size > 0 else {
                throw ProtocolError(
                    .badMessage, .multiPublish, "invalid message(\(index)) body size \(size)")
            }
            try expectAllowedSize(size, .multiPublish)
            guard body.offset + size <= limit else {
                let total = body.offset + size - start + 4
                throw ProtocolError(
                    .badBody, .multiPublish, "body too big \(total) > \(options.maxBodyBytes)")
            }
            guard body.read(size) != nil else { return pause(at: messageStart) }
            index += 1
        }
        return body.bytes.view(start..<body.offset)

        func pause(at offset: Int) -> Bytes? {
            session.pauseBatch(CheckedBatch(offset: offset - body.commandStart, index: index))
            return nil
        }
    }

    /// Checks that the broker can accept messages.
    ///
    /// - Throws: an error with `code` if the broker is stopping or its memory is full.
    private func expectCapacity(
        for count: Int, bodyBytes: Int, deferredBytes: Int = 0, _ code: ProtocolError.Code,
        _ verb: Verb
    ) throws(ProtocolError) {
        if let publishRefusal { throw ProtocolError(code, verb, "failed \(publishRefusal)") }
        let overhead = deferredBytes + count * Segment.byteCount(bodyBytes: 0)
        guard hasMemory(toStore: bodyBytes, overhead: overhead) else {
            throw memoryFullError(code, verb)
        }
    }

    private func memoryFullError(_ code: ProtocolError.Code, _ verb: Verb) -> ProtocolError {
        ProtocolError(
            code, verb, "failed queue memory is full at \(options.maxMemoryBytes) bytes")
    }

    /// Refuses an incomplete publish that needs more memory than is left, and closes the connection.
    /// Does nothing if the command is complete, small or of another kind.
    ///
    /// - Parameters:
    ///   - bytes: the received bytes from the start of the command.
    ///   - neededBytes: the size of the complete command, as far as it is known from `bytes`.
    package func refuseIfMemoryIsFull(
        _ bytes: Bytes, neededBytes: Int, from session: Session, at now: Timestamp
    ) {
        guard bytes.count >= Self.inputBytesBeyondLimit, neededBytes > bytes.count,
            !session.isEnded,
            !hasMemory(for: neededBytes - bytes.count)
        else { return }
        context.setTime(now)
        var end = 0
        guard case .line(let line) = CommandLine.next(in: bytes, at: &end), let verb = line.verb
        else { return }
        switch verb {
        case .publish: fail(session, memoryFullError(.publishFailed, verb))
        case .multiPublish: fail(session, memoryFullError(.multiPublishFailed, verb))
        case .deferredPublish: fail(session, memoryFullError(.deferredPublishFailed, verb))
        default: break
        }
    }

    /// The number of bytes of an incomplete command, or of an HTTP body, that a connection may store
    /// even if the memory is full. Consumers can therefore always send FIN, REQ and TOUCH.
    package static let inputBytesBeyondLimit = 16 << 10

    /// Counts the published messages, and sends the response or adds it to the pending responses.
    private func didPublish(
        _ count: Int, to topic: Topic, by session: Session, _ verb: Verb
    ) {
        session.didPublish(count, to: topic)
        guard topic.isDurable else { return respondOK(to: session) }
        pendingPublishes.add(verb, by: session)
    }
}
