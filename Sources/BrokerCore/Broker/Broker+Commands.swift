import NSQWire

/// Execution of one command that the session's phase allows.
extension Broker {
    /// Executes one command.
    ///
    /// - Returns: `true` if the command was executed; `false` if the command's body is incomplete
    ///   or the command waits for an authorization. After `false`, the caller passes the same bytes
    ///   again later.
    func execute(
        _ line: CommandLine, _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        if line.verb == .publish, let topic = lastTopic(of: session, line) {
            return try publish(to: topic, &body, session)
        }
        // After CLS, RDY is ignored.
        if line.verb == .ready, session.phase == .closing { return true }
        switch try Command(parsing: line) {
        case .nop: return true
        case .identify: return try identify(&body, session)
        case .authenticate: return try authenticate(&body, session)
        case .subscribe(let topic, let channel): return try subscribe(session, topic, channel)
        case .ready(let count): try setReady(session, count)
        case .finish(let id): try session.subscription.channel?.finish(id, by: session)
        case .requeue(let id, let milliseconds):
            let delay = min(.milliseconds(milliseconds), options.maxRequeueTimeout)
            try session.subscription.channel?.requeue(id, by: session, after: delay)
        case .touch(let id): try session.subscription.channel?.touch(id, by: session)
        case .close:
            session.beginClosing()
            respond(to: session, Frame.closeWait.bytes)
        case .publish(let name): return try publish(to: nil, named: name, &body, session)
        case .multiPublish(let name): return try multiPublish(to: name, &body, session)
        case .deferredPublish(let name, let milliseconds):
            return try publish(to: name, deferredBy: milliseconds, &body, session)
        }
        return true
    }

    // MARK: Subscribing

    /// Executes SUB.
    ///
    /// - Returns: `false` if the command waits for an authorization.
    private func subscribe(
        _ session: Session, _ topicName: TopicName, _ channelName: ChannelName
    ) throws(ProtocolError) -> Bool {
        guard try checkPermission(.subscribe, topicName, channelName, of: session) else {
            return false
        }
        let channel = try channel(channelName, ofTopic: topicName)
        let limit = options.maxChannelConsumers
        guard limit == 0 || channel.consumers.count < limit else {
            throw ProtocolError(
                .subscribeFailed,
                .subscribe,
                "failed consumers for \(topicName):\(channelName) exceeds limit of \(limit)")
        }
        channel.addConsumer(session)
        respondOK(to: session)
        return true
    }

    private func setReady(_ session: Session, _ count: Int) throws(ProtocolError) {
        guard (0...options.maxReadyCount).contains(count) else {
            throw ProtocolError(
                .invalid, .ready, "count \(count) out of range 0-\(options.maxReadyCount)")
        }
        session.setReady(count)
        session.subscription.channel.map { context.pending.add($0) }
    }

    /// Reads the body of IDENTIFY or AUTH, which has at most ``Limits/smallBodyBytes``.
    func smallBody(_ body: inout BodyReader, of verb: Verb) throws(ProtocolError) -> Bytes? {
        guard let size = body.int32() else { return nil }
        guard size > 0 else {
            throw ProtocolError(.badBody, verb, "invalid body size \(size)")
        }
        // nsqd's limit is checked first, so that a body that exceeds it gets the same error as from
        // nsqd.
        for limit in [options.maxBodyBytes, Limits.smallBodyBytes] where size > limit {
            throw ProtocolError(.badBody, verb, "body too big \(size) > \(limit)")
        }
        return body.read(size)
    }
}
