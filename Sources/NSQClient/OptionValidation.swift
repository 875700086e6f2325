extension ClientOptions {
    /// - Throws: ``NSQError/Code/invalidOption`` with the name, the value and the range of the first
    ///   invalid option.
    func validate() throws(NSQError) {
        try require("heartbeatInterval", heartbeatInterval, in: .seconds(1) ... .seconds(300))
        try require("connectTimeout", connectTimeout, in: .milliseconds(1) ... .seconds(300))
        try require("maxReconnectDelay", maxReconnectDelay, in: .milliseconds(1) ... .seconds(3600))
        try require(
            "minReconnectDelay", minReconnectDelay, in: .milliseconds(1)...maxReconnectDelay)
        try require("maxFrameBytes", maxFrameBytes, in: 1024...(1 << 30))
        if case .deflate(let level) = compression {
            try require("the deflate level", level, in: 1...9)
        }
        if authSecret?.isEmpty == true {
            throw .invalidOption("authSecret is empty; set it to nil to send no secret")
        }
    }
}

extension Producer.Options {
    /// - Throws: as ``ClientOptions/validate()``.
    func validate() throws(NSQError) {
        try client.validate()
        try require("reconnectTimeout", reconnectTimeout, in: .zero ... .seconds(3600))
        try require("responseTimeout", responseTimeout, in: .milliseconds(1) ... .seconds(3600))
        try require("window", window, in: 1...Int.max)
        try require("windowBytes", windowBytes, in: 1...Int.max)
        try require("maxWaiting", maxWaiting, in: 0...Int.max)
        try require("stopTimeout", stopTimeout, in: .zero ... .seconds(3600))
    }
}

extension Consumer.Options {
    /// - Throws: as ``ClientOptions/validate()``.
    func validate() throws(NSQError) {
        try client.validate()
        try require("maxInFlight", maxInFlight, in: 0...Int.max)
        if let messageTimeout {
            try require("messageTimeout", messageTimeout, in: .seconds(1) ... .seconds(86_400))
        }
        if let outputBufferTimeout {
            try require(
                "outputBufferTimeout", outputBufferTimeout, in: .milliseconds(25) ... .seconds(30))
        }
        if let outputBufferBytes {
            try require("outputBufferBytes", outputBufferBytes, in: 64...65_536)
        }
        try require("backoffMultiplier", backoffMultiplier, in: .zero ... .seconds(3600))
        try require("maxBackoff", maxBackoff, in: .zero ... .seconds(3600))
        try require("stopTimeout", stopTimeout, in: .zero ... .seconds(3600))
        try require(
            "lookup.pollInterval", lookup.pollInterval, in: .milliseconds(10) ... .seconds(300))
        try require("lookup.jitter", lookup.jitter, in: 0...1)
        try require("lookup.timeout", lookup.timeout, in: .milliseconds(100) ... .seconds(300))
        if let samplePercent { try require("samplePercent", samplePercent, in: 1...99) }
    }
}

private func require<Value: Comparable>(
    _ name: String, _ value: Value, in range: ClosedRange<Value>
) throws(NSQError) {
    guard !range.contains(value) else { return }
    throw .invalidOption(
        "\(name) is \(value), but must be between \(range.lowerBound) and \(range.upperBound)")
}
