import BrokerCore
import GoFlags
import TallyBasics
import Transport

@testable import NSQBroker

extension ServerOptions {
    /// The flags that set these options, without those that nsqd does not have.
    var nsqdFlags: [String] {
        let defaults = ServerOptions()
        return ServerOption.all.filter { !$0.isOwn && $0.flag != "log-level" }.flatMap { option in
            let texts = option.texts(in: self)
            return texts == option.texts(in: defaults)
                ? [] : texts.map { "--\(option.flag)=\($0)" }
        }
    }
}

extension ServerOption {
    /// Returns the values of the flag's occurrences.
    fileprivate func texts(in options: ServerOptions) -> [String] {
        switch value(in: options) {
        case let texts as [String]: texts
        case let numbers as [Double]: numbers.map { "\($0)" }
        case let duration as Duration: ["\(duration.nanoseconds)ns"]
        case TLSRequirement.exceptHTTP: ["tcp-https"]
        case let requirement as TLSRequirement: ["\(requirement == .everywhere)"]
        case let version as TLSVersion: [version.rawValue]
        case let other: ["\(other)"]
        }
    }
}
