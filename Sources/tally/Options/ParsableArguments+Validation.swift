import ArgumentParser
import NSQWire
import PlayCounts

/// Validates option values with the same error texts in all commands.
extension ParsableArguments {
    /// - Parameters:
    ///   - range: the valid values. Choose bounds so small that no sum or product of values in this
    ///     program overflows.
    ///   - reason: an explanation of a bound that depends on other options.
    func require(
        _ flag: String, _ value: Int, in range: ClosedRange<Int>, _ reason: String? = nil
    ) throws {
        guard !range.contains(value) else { return }
        throw ValidationError(
            "\(flag) must be between \(range.lowerBound) and \(range.upperBound)"
                + (reason.map { " (\($0))" } ?? "") + ", not \(value)")
    }

    func require(_ flag: String, _ value: GoDuration, atLeast least: String) throws {
        guard value.duration < GoDuration(argument: least)!.duration else { return }
        throw ValidationError("\(flag) must be at least \(least), not \(value)")
    }
}

extension ParsableArguments {
    /// - Parameters:
    ///   - certificate: the value of `--nsqd-tls-cert`.
    ///   - key: the value of `--nsqd-tls-key`.
    func validateTLS(certificate: String?, key: String?) throws {
        guard key == nil || certificate != nil else {
            throw ValidationError("--nsqd-tls-key requires --nsqd-tls-cert")
        }
    }
}

extension TopicName {
    /// - Throws: `ValidationError` if the name of the topic of rejected messages would be too long.
    func requireRejectedTopic() throws {
        guard RejectedPlays.rejectedTopic(of: self) == nil else { return }
        throw ValidationError(
            "topic name '\(self)' is too long: the topic of rejected messages has the same name with "
                + "'\(RejectedPlays.topicSuffix)' appended")
    }

    init(flag text: String) throws { self = try parseName(text, "topic") }
}

extension ChannelName {
    init(flag text: String) throws { self = try parseName(text, "channel") }
}

private func parseName<Name: NSQName>(_ text: String, _ kind: String) throws -> Name {
    guard let name = Name(text) else {
        throw ValidationError(
            "invalid \(kind) name '\(text)': use 1 to 64 of a-z A-Z 0-9 . _ - and an optional "
                + "#ephemeral suffix")
    }
    return name
}
