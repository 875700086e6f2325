import ArgumentParser
import NSQWire

/// What flags of several commands must be like, said in the same words everywhere.
extension ParsableArguments {
    func expect(
        _ flag: String, _ value: Int, atLeast least: Int, _ reason: String? = nil
    ) throws {
        guard value < least else { return }
        throw ValidationError(
            "\(flag) is at least " + (reason.map { "\($0): \(least) or more" } ?? "\(least)"))
    }

    func expect(_ flag: String, _ value: GoDuration, atLeast least: String) throws {
        guard value.duration < GoDuration(argument: least)!.duration else { return }
        throw ValidationError("\(flag) is at least \(least)")
    }
}

extension TopicName {
    init(flag text: String) throws { self = try named(text, "topic") }
}

extension ChannelName {
    init(flag text: String) throws { self = try named(text, "channel") }
}

private func named<Name: NSQName>(_ text: String, _ what: String) throws -> Name {
    guard let name = Name(text) else {
        throw ValidationError(
            "\(text) is not a \(what)'s name: 1 to 64 of a-z A-Z 0-9 . _ -, and perhaps #ephemeral "
                + "at the end")
    }
    return name
}
