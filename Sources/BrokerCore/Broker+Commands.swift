import NSQWire

/// What each command does once it is known to be one, and to be allowed.
extension Broker {
    /// - Returns: `false`, with nothing done, if its body is not all there.
    func carryOut(
        _ line: CommandLine, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        if line.verb == .publish, let topic = lastTopic(of: session, line) {
            return try publish(to: topic, &body, session)
        }
        // A client that is leaving gets no more messages, whatever it says of its readiness.
        if line.verb == .ready, session.phase == .closing { return true }
        switch try Command(parsing: line) {
        case .nop: return true
        case .identify: return try identify(&body, session)
        case .authenticate: return try authenticate(&body, session)
        case .subscribe(let topic, let channel): return try subscribe(session, topic, channel)
        case .ready(let count): try ready(session, count)
        case .finish(let id): try session.channel?.finish(id, by: session, turn)
        case .requeue(let id, let milliseconds):
            let delay = min(.milliseconds(milliseconds), options.maxRequeueTimeout)
            try session.channel?.requeue(id, by: session, after: delay, turn)
        case .touch(let id): try session.channel?.touch(id, by: session, turn)
        case .close: close(session)
        case .publish(let name): return try publish(to: nil, named: name, &body, session)
        case .multiPublish(let name): return try multiPublish(to: name, &body, session)
        case .deferredPublish(let name, let milliseconds):
            return try publish(to: name, deferredBy: milliseconds, &body, session)
        }
        return true
    }

    // MARK: Subscribing

    private func subscribe(
        _ session: Session, _ topicName: TopicName, _ channelName: ChannelName
    ) throws(ProtocolError) -> Bool {
        guard try permit(.subscribe, topicName, channelName, to: session) else { return false }
        let channel = try channel(channelName, ofTopic: topicName)
        let limit = options.maxChannelConsumers
        guard limit == 0 || channel.consumerCount < limit else {
            throw ProtocolError(
                .subscribeFailed,
                "SUB failed consumers for \(topicName):\(channelName) exceeds limit of \(limit)")
        }
        channel.addConsumer(session)
        session.phase = .subscribed
        answerOK(session)
        return true
    }

    private func ready(_ session: Session, _ count: Int) throws(ProtocolError) {
        guard (0...options.maxReadyCount).contains(count) else {
            throw ProtocolError(
                .invalid, "RDY count \(count) out of range 0-\(options.maxReadyCount)")
        }
        session.readyCount = count
        session.channel.map { turn.touch($0) }
    }

    private func close(_ session: Session) {
        session.readyCount = 0
        session.phase = .closing
        respond(session, Frame.closeWait.bytes)
    }

    /// Reads the body of IDENTIFY or AUTH.
    func smallBody(_ body: inout BodyReader, of verb: Verb) throws(ProtocolError) -> Bytes? {
        guard let size = body.int32() else { return nil }
        guard size > 0 else {
            throw ProtocolError(.badBody, "\(verb.rawValue) invalid body size \(size)")
        }
        guard size <= options.maxBodyBytes else {
            throw ProtocolError(
                .badBody, "\(verb.rawValue) body too big \(size) > \(options.maxBodyBytes)")
        }
        return body.take(size)
    }

    func answerOK(_ session: Session) {
        session.sayOK()
        turn.touch(session)
    }
}
