import Logging
import NSQBroker
import NSQLookup

/// A program of a local cluster: an nsqd or an nsqlookupd, which can be stopped and started again at
/// the same addresses.
struct ClusterNode: Sendable {
    /// The kind of a program.
    enum Kind: String, Sendable {
        case nsqd, nsqlookupd
    }

    /// The state of a program.
    enum State: String, Sendable {
        case running, stopped
        /// The program is being started or stopped.
        case changing
    }

    /// What users see of a node.
    struct Description: Equatable, Sendable {
        let name: String
        let kind: Kind
        let state: State
        let tcpAddress: String
        let httpAddress: String
    }

    /// The name: the kind and a number from 1, such as `nsqd-2` or `lookupd-1`.
    let name: String
    let kind: Kind
    /// The address for NSQ's protocol, as `host:port`; with port 0 until the first start.
    private var tcpAddress: String
    /// The address of the HTTP API, as `host:port`; with port 0 until the first start.
    private var httpAddress: String
    private var program = Program.none
    /// `true` while the program is being started or stopped.
    private var isChanging = false

    private enum Program: Sendable {
        case none
        case nsqd(EmbeddedBroker)
        case nsqlookupd(EmbeddedLookup)
    }

    init(_ kind: Kind, number: Int, port: Int?) {
        self.kind = kind
        name = kind == .nsqd ? "nsqd-\(number)" : "lookupd-\(number)"
        tcpAddress = "127.0.0.1:\(port ?? 0)"
        httpAddress = "127.0.0.1:\(port.map { $0 + 1 } ?? 0)"
    }

    var description: Description {
        Description(
            name: name, kind: kind, state: state, tcpAddress: tcpAddress,
            httpAddress: httpAddress)
    }

    private var state: State {
        if isChanging { return .changing }
        if case .none = program { return .stopped }
        return .running
    }

    // MARK: Changes

    /// Takes the program out of the node, which is changing until a call that finishes the change.
    ///
    /// - Returns: a value that stops the program.
    mutating func beginStop() -> @Sendable () async -> Void {
        isChanging = true
        let program = program
        self.program = .none
        return {
            switch program {
            case .none: break
            case .nsqd(let broker): await broker.stop()
            case .nsqlookupd(let lookup): await lookup.stop()
            }
        }
    }

    /// Marks the node as changing until a call that finishes the change.
    mutating func beginStart() { isChanging = true }

    /// Ends a change without a program.
    mutating func finishWithoutProgram() { isChanging = false }

    /// Ends a start.
    mutating func finish(_ broker: EmbeddedBroker) {
        isChanging = false
        program = .nsqd(broker)
        tcpAddress = broker.tcpAddress
        httpAddress = broker.httpAddress ?? httpAddress
    }

    /// Ends a start.
    mutating func finish(_ lookup: EmbeddedLookup) {
        isChanging = false
        program = .nsqlookupd(lookup)
        tcpAddress = lookup.tcpAddress
        httpAddress = lookup.httpAddress
    }
}
