import NSQWire

/// PUB, DPUB and MPUB.
extension Broker {
    /// The topic of the session's last PUB, if this one is to the same: no name is parsed twice.
    @inline(__always)
    func lastTopic(of session: Session, _ line: CommandLine) -> Topic? {
        guard let topic = session.lastTopic, !topic.isDeleted else { return nil }
        var parameters = line.parameters
        guard let word = parameters.next(), topic.isNamed(word) else { return nil }
        return topic
    }

    func publish(
        to known: Topic?, named name: TopicName? = nil, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        guard let message = try message(&body, .publish),
            try permit(.publish, known?.name ?? name!, to: session)
        else { return false }
        try expectRoom(for: 1, bodyBytes: message.count, .publishFailed, .publish)
        let topic =
            if let known { known } else { try topic(name!, .publishFailed, .publish) }
        topic.publish(message, turn)
        notePublished(1, to: topic, by: session, .publish)
        return true
    }

    func publish(
        to name: TopicName, deferredBy milliseconds: Int, _ body: inout BodyReader,
        _ session: Session
    ) throws(ProtocolError) -> Bool {
        let longest = options.maxRequeueTimeout.milliseconds
        guard milliseconds <= longest else {
            throw ProtocolError(
                .invalid, "DPUB timeout \(milliseconds) out of range 0-\(longest)")
        }
        guard let message = try message(&body, .deferredPublish),
            try permit(.deferredPublish, name, to: session)
        else { return false }
        try expectRoom(
            for: 1, bodyBytes: message.count, .deferredPublishFailed, .deferredPublish)
        let topic = try topic(name, .deferredPublishFailed, .deferredPublish)
        if milliseconds == 0 {
            topic.publish(message, turn)
        } else {
            let due = turn.now.monotonic + Int64(milliseconds) * 1_000_000
            topic.publish(message, deferredUntil: due, turn)
        }
        notePublished(1, to: topic, by: session, .deferredPublish)
        return true
    }

    /// Reads one message's length and body.
    private func message(
        _ body: inout BodyReader, _ verb: Verb
    ) throws(ProtocolError) -> Bytes? {
        guard let size = body.int32() else { return nil }
        guard size > 0 else {
            throw ProtocolError(
                .badMessage, "\(verb.rawValue) invalid message body size \(size)")
        }
        try expectAllowed(size, verb)
        return body.take(size)
    }

    private func expectAllowed(_ size: Int, _ verb: Verb) throws(ProtocolError) {
        guard size <= options.maxMessageBytes else {
            throw ProtocolError(
                .badMessage, "\(verb.rawValue) message too big \(size) > \(options.maxMessageBytes)"
            )
        }
    }

    func multiPublish(
        to name: TopicName, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        guard try permit(.multiPublish, name, to: session) else { return false }
        // As in nsqd, the topic comes into being before anything of the batch is read.
        let topic = try topic(name, .multiPublishFailed, .multiPublish)
        guard let total = body.int32() else { return false }
        guard total > 0 else {
            throw ProtocolError(.badBody, "MPUB invalid body size \(total)")
        }
        guard total <= options.maxBodyBytes else {
            throw ProtocolError(.badBody, "MPUB body too big \(total) > \(options.maxBodyBytes)")
        }
        guard let count = body.int32() else { return false }
        guard count > 0, count <= options.maxMessagesPerBody else {
            throw ProtocolError(.badBody, "MPUB invalid message count \(count)")
        }
        guard let batch = try batch(of: count, &body, session) else { return false }
        try expectRoom(
            for: count, bodyBytes: batch.count - 4 * count, .multiPublishFailed, .multiPublish)
        topic.publish(count, from: batch, turn)
        notePublished(count, to: topic, by: session, .multiPublish)
        return true
    }

    /// Reads `count` messages with their sizes: all are checked before the first is taken.
    private func batch(
        of count: Int, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bytes? {
        let start = body.offset
        // Of the total that the client named, nothing but its range is checked, as in nsqd. What
        // is kept until the last message is there still needs its bound.
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
                    .badMessage, "MPUB invalid message(\(index)) body size \(size)")
            }
            try expectAllowed(size, .multiPublish)
            guard body.offset + size <= limit else {
                let total = body.offset + size - start + 4
                throw ProtocolError(
                    .badBody, "MPUB body too big \(total) > \(options.maxBodyBytes)")
            }
            guard body.take(size) != nil else { return pause(at: messageStart) }
            index += 1
        }
        return body.bytes.view(start..<body.offset)

        func pause(at offset: Int) -> Bytes? {
            session.checkedBatch = CheckedBatch(offset: offset - body.commandStart, index: index)
            return nil
        }
    }

    /// - Throws: the publisher's error if the broker is stopping or its memory is full.
    private func expectRoom(
        for count: Int, bodyBytes: Int, _ code: ProtocolError.Code, _ verb: Verb
    ) throws(ProtocolError) {
        guard !isStopping else { throw ProtocolError(code, "\(verb.rawValue) failed exiting") }
        let bytes = bodyBytes + count * Segment.byteCount(bodyBytes: 0)
        guard turn.slabs.usedBytes + bytes <= options.maxMemoryBytes else {
            throw ProtocolError(
                code,
                "\(verb.rawValue) failed queue memory is full at \(options.maxMemoryBytes) bytes"
            )
        }
    }

    private func notePublished(
        _ count: Int, to topic: Topic, by session: Session, _ verb: Verb
    ) {
        if session.lastTopic !== topic { session.lastTopic = topic }
        session.countPublished(count)
        guard topic.isNoted else { return answerOK(session) }
        publishings.add(verb, by: session)
    }
}
