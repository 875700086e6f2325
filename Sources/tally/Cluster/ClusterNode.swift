import Logging
import NSQBroker
import NSQLookup

/// A node of a local cluster: an nsqd or an nsqlookupd that can be stopped and started again at the
/// same addresses.
struct ClusterNode: Sendable {
    /// The kind of a node.
    enum Kind: String, Sendable {
        case nsqd, nsqlookupd
    }

    /// The state of a node.
    enum State: String, Sendable {
        case running, stopped
        /// The node is being started or stopped.
        case changing
    }

    /// The description of a node for users.
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
    /// The address for NSQ's protocol, as `host:port`. Until the first start, the port may be 0.
    private var tcpAddress: String
    /// The address of the HTTP API, as `host:port`. Until the first start, the port may be 0.
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

    /// Begins to stop the node. Its state is `changing` until ``finishWithoutProgram()``.
    ///
    /// - Returns: a closure that stops the program of the node.
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

    /// Begins to start the node. Its state is `changing` until one of the methods below.
    mutating func beginStart() { isChanging = true }

    /// Ends a stop, or a start that has failed.
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
