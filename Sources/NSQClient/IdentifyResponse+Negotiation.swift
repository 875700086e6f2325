import NSQWire

extension IdentifyResponse {
    /// The transport layers that the client has requested and nsqd has accepted, the lowest first.
    func layers(for requested: Identify) -> [ClientSession.Layer] {
        var layers: [ClientSession.Layer] = []
        if tls, requested.tls == true { layers.append(.tls) }
        if snappy, requested.snappy == true {
            layers.append(.snappy)
        } else if deflate, requested.deflate == true {
            layers.append(.deflate(level: min(max(1, deflateLevel), 9)))
        }
        return layers
    }

    /// The requested settings that nsqd has refused or changed, each as a text for logs.
    func changes(from requested: Identify) -> [String] {
        var changes: [String] = []
        if requested.snappy == true, !snappy { changes.append("snappy is not enabled") }
        if requested.deflate == true {
            if !deflate {
                changes.append("deflate is not enabled")
            } else if let level = requested.deflateLevel, level != deflateLevel {
                changes.append("the deflate level is \(deflateLevel) instead of \(level)")
            }
        }
        let numbers = [
            ("message timeout in milliseconds", requested.messageTimeout, messageTimeout),
            ("output buffer size in bytes", requested.outputBufferSize, outputBufferSize),
            (
                "output buffer timeout in milliseconds", requested.outputBufferTimeout,
                outputBufferTimeout
            ),
            ("sample rate in percent", requested.sampleRate, sampleRate),
        ]
        for case (let name, let wanted?, let actual) in numbers where wanted != actual {
            changes.append("the \(name) is \(actual) instead of \(wanted)")
        }
        return changes
    }
}
