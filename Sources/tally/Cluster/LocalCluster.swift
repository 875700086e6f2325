import Glibc
import Logging
import NSQBroker
import NSQLookup

/// Several nsqds and nsqlookupds in this process. Each can be stopped and started again.
actor LocalCluster {
    /// The size and the settings of a cluster.
    struct Settings: Sendable {
        var nsqdCount = 3
        var lookupdCount = 2
        /// The TCP port of the first nsqd; `nil` for free ports. Its HTTP API has the next port.
        /// The ports of each further nsqd are 10 higher than those of the previous one.
        var nsqdPort: Int?
        /// The TCP port of the first nsqlookupd, with the same rule as ``nsqdPort``.
        var lookupdPort: Int?
        /// The folder that contains a data folder for each node; `nil` stores everything only in
        /// memory.
        var dataPath: String?
        /// The options of every nsqd. The cluster replaces the addresses and the data path.
        var broker = ServerOptions()
    }

    /// A change of one node.
    enum Action: String, CaseIterable, Sendable {
        case start, stop, restart
    }

    /// The reason why a change is not possible.
    struct Refusal: Error, Equatable, CustomStringConvertible {
        let description: String
        /// `true` if the cluster has no node with this name.
        var isUnknown = false
    }

    /// The distance between the ports of two consecutive nodes of a kind.
    private static let portDistance = 10

    private let settings: Settings
    private var nodes: [ClusterNode] = []
    /// `true` after all nodes have been started.
    private var isStarted = false

    init(_ settings: Settings) { self.settings = settings }

    /// The descriptions of the nodes in the order in which they start: nsqlookupds first, because
    /// nsqds register at them.
    var descriptions: [ClusterNode.Description] { nodes.map(\.description) }

    /// The descriptions of the nodes.
    ///
    /// - Throws: `Refusal` if the cluster is still starting.
    func startedDescriptions() throws(Refusal) -> [ClusterNode.Description] {
        guard isStarted else { throw Refusal(description: "the cluster is starting") }
        return descriptions
    }

    // MARK: All nodes

    /// Starts all nodes.
    ///
    /// - Throws: the error of the first node that cannot be started. Then all other nodes are
    ///   stopped again.
    func start() async throws {
        nodes =
            (0..<settings.lookupdCount).map {
                Self.node(.nsqlookupd, at: $0, firstPort: settings.lookupdPort)
            }
            + (0..<settings.nsqdCount).map {
                Self.node(.nsqd, at: $0, firstPort: settings.nsqdPort)
            }
        do {
            for index in nodes.indices { try await start(index) }
            isStarted = true
        } catch {
            await stop()
            throw error
        }
    }

    private static func node(
        _ kind: ClusterNode.Kind, at index: Int, firstPort: Int?
    ) -> ClusterNode {
        ClusterNode(kind, number: index + 1, port: firstPort.map { $0 + index * portDistance })
    }

    /// Stops all running nodes, nsqds first.
    func stop() async {
        for index in nodes.indices.reversed() where nodes[index].description.state == .running {
            await stop(index)
        }
    }

    // MARK: One node

    /// Changes one node.
    ///
    /// - Returns: the node after the change.
    /// - Throws: `Refusal` if the node does not exist or is in a state that does not allow the
    ///   action, or the error of the start.
    func perform(_ action: Action, on name: String) async throws -> ClusterNode.Description {
        guard isStarted else { throw Refusal(description: "the cluster is starting") }
        guard let index = nodes.firstIndex(where: { $0.name == name }) else {
            let names = nodes.map(\.name).joined(separator: ", ")
            throw Refusal(
                description: "unknown node '\(name)': expected one of \(names)", isUnknown: true)
        }
        switch (action, nodes[index].description.state) {
        case (_, .changing): throw Refusal(description: "\(name) is being started or stopped")
        case (.start, .running): throw Refusal(description: "\(name) is running")
        case (.stop, .stopped): throw Refusal(description: "\(name) is stopped")
        case (.start, .stopped), (.restart, .stopped): try await start(index)
        case (.stop, .running): await stop(index)
        case (.restart, .running):
            await stop(index)
            try await start(index)
        }
        return nodes[index].description
    }

    private func stop(_ index: Int) async {
        let stop = nodes[index].beginStop()
        await stop()
        nodes[index].finishWithoutProgram()
    }

    private func start(_ index: Int) async throws {
        nodes[index].beginStart()
        do {
            switch nodes[index].kind {
            case .nsqd:
                let broker = try await startBroker(nodes[index].description)
                nodes[index].finish(broker)
            case .nsqlookupd:
                let lookup = try await startLookup(nodes[index].description)
                nodes[index].finish(lookup)
            }
        } catch {
            nodes[index].finishWithoutProgram()
            throw error
        }
    }

    private func startBroker(_ node: ClusterNode.Description) async throws -> EmbeddedBroker {
        var options = settings.broker
        options.addresses.tcp = node.tcpAddress
        options.addresses.http = node.httpAddress
        options.addresses.https = "127.0.0.1:0"
        options.addresses.broadcast = "127.0.0.1"
        options.lookup.tcpAddresses += nodes.filter { $0.kind == .nsqlookupd }
            .map(\.description.tcpAddress)
        options.disk.dataPath = try folder(of: node.name) ?? ""
        options.disk.isMemoryOnly = settings.dataPath == nil
        return try await EmbeddedBroker.start(options, logger(of: node.name))
    }

    private func startLookup(_ node: ClusterNode.Description) async throws -> EmbeddedLookup {
        var options = LookupServerOptions()
        options.tcpAddress = node.tcpAddress
        options.httpAddress = node.httpAddress
        options.broadcastAddress = "127.0.0.1"
        options.dataPath = try folder(of: node.name) ?? ""
        return try await EmbeddedLookup.start(options, logger: logger(of: node.name))
    }

    private func logger(of name: String) -> Logger {
        LineLog.logger(name, settings.broker.log.level, settings.broker.log.format)
    }

    /// Creates the data path and the folder of a node in it, unless they exist.
    ///
    /// - Returns: the folder; `nil` if there is no data path.
    private func folder(of name: String) throws -> String? {
        guard let dataPath = settings.dataPath else { return nil }
        let folder = "\(dataPath)/\(name)"
        for path in [dataPath, folder] where mkdir(path, 0o700) != 0 && errno != EEXIST {
            throw Refusal(
                description:
                    "cannot create the folder '\(path)': \(String(cString: strerror(errno)))")
        }
        return folder
    }
}
