extension Command {
    /// Parses one command line.
    ///
    /// - Throws: `E_INVALID` for an unknown command, a missing parameter or an invalid number;
    ///   `E_BAD_TOPIC` or `E_BAD_CHANNEL` for an invalid name.
    /// - SeeAlso: NSQ, “TCP Protocol Spec”. The error texts are those of nsqd.
    package init(parsing line: CommandLine) throws(ProtocolError) {
        guard let verb = line.verb else {
            throw ProtocolError(.invalid, Array("invalid command ".utf8) + Array(line.name))
        }
        var words = ParameterReader(verb: verb, words: line.parameters)
        switch verb {
        case .identify: self = .identify
        case .authenticate:
            try words.expectNone()
            self = .authenticate
        case .subscribe:
            try words.expect(2)
            self = .subscribe(try words.topic(), try words.channel())
        case .ready: self = .ready(count: try words.count())
        case .finish:
            try words.expect(1)
            self = .finish(try words.messageID())
        case .requeue:
            try words.expect(2)
            self = .requeue(try words.messageID(), afterMilliseconds: try words.timeout())
        case .touch:
            try words.expect(1)
            self = .touch(try words.messageID())
        case .close: self = .close
        case .nop: self = .nop
        case .publish:
            try words.expect(1)
            self = .publish(try words.topic())
        case .multiPublish:
            try words.expect(1)
            self = .multiPublish(try words.topic())
        case .deferredPublish:
            try words.expect(2)
            self = .deferredPublish(try words.topic(), afterMilliseconds: try words.timeout())
        }
    }
}

/// Parses the parameters of a command one after another. Extra parameters are ignored, as in nsqd.
private struct ParameterReader {
    let verb: Verb
    var words: CommandLine.Parameters

    private var wire: String { verb.rawValue }

    /// Throws `E_INVALID` if there is a parameter. Only AUTH rejects extra parameters.
    mutating func expectNone() throws(ProtocolError) {
        guard words.next() == nil else {
            throw ProtocolError(.invalid, verb, "invalid number of parameters")
        }
    }

    /// Throws `E_INVALID` if there are fewer than `count` parameters.
    func expect(_ count: Int) throws(ProtocolError) {
        var counted = words
        for _ in 0..<count where counted.next() == nil {
            throw ProtocolError(.invalid, verb, "insufficient number of \(parametersNoun)")
        }
    }

    /// The noun in error texts: nsqd writes “params” for FIN, REQ and TOUCH, and “parameters” for
    /// other commands.
    private var parametersNoun: String {
        switch verb {
        case .finish, .requeue, .touch: "params"
        default: "parameters"
        }
    }

    mutating func topic() throws(ProtocolError) -> TopicName {
        let word = next()
        guard let name = TopicName(bytes: word) else {
            // nsqd repeats the error code in the text for MPUB.
            let prefix = verb == .multiPublish ? "E_BAD_TOPIC " : ""
            throw ProtocolError(
                .badTopic, "\(prefix)\(wire) topic name \(word.goQuoted) is not valid")
        }
        return name
    }

    mutating func channel() throws(ProtocolError) -> ChannelName {
        let word = next()
        guard let name = ChannelName(bytes: word) else {
            throw ProtocolError(.badChannel, verb, "channel name \(word.goQuoted) is not valid")
        }
        return name
    }

    mutating func messageID() throws(ProtocolError) -> MessageID {
        let word = next()
        guard word.count == MessageID.byteCount, let base = word.baseAddress else {
            throw ProtocolError(.invalid, "invalid message ID")
        }
        return MessageID(readingFrom: base)
    }

    /// Parses the count of RDY. A missing count is 1.
    mutating func count() throws(ProtocolError) -> Int {
        guard let word = words.next() else { return 1 }
        return try decimal(word, "count")
    }

    mutating func timeout() throws(ProtocolError) -> Int {
        try decimal(next(), "timeout")
    }

    /// Parses decimal digits. An empty parameter is 0, and a value that overflows is `Int.max`.
    ///
    /// - Parameter what: the name of the parameter in the error text.
    private func decimal(_ word: Bytes, _ what: String) throws(ProtocolError) -> Int {
        var value = 0
        for byte in word {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else {
                throw ProtocolError(
                    .invalid, Array("\(wire) could not parse \(what) ".utf8) + Array(word))
            }
            let (tenfold, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tenfold.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            value = overflow || carry ? .max : sum
        }
        return value
    }

    private mutating func next() -> Bytes { words.next() ?? Bytes(start: nil, count: 0) }
}
