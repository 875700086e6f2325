import Glibc
import Logging
import NSQBroker
import NSQLookup

/// nsqds and nsqlookupds in this process, each of which can be stopped and started again.
actor LocalCluster {
    /// The size and the settings of a cluster.
    struct Settings: Sendable {
        var nsqdCount = 3
        var lookupdCount = 2
        /// The TCP port of the first nsqd; `nil` for free ports. Its HTTP API has the next port, and
        /// each further nsqd ports that are 10 higher.
        var nsqdPort: Int?
        /// The TCP port of the first nsqlookupd, as for nsqds.
        var lookupdPort: Int?
        /// The folder with one folder of data for each node; `nil` stores everything in memory only.
        var dataPath: String?
        /// The options of every nsqd; the addresses and the data path are replaced.
        var broker = ServerOptions()
    }

    /// A change of one node.
    enum Action: String, CaseIterable, Sendable {
        case start, stop, restart
    }

    /// The reason why a change is not possible.
    struct Refusal: Error, Equatable, CustomStringConvertible {
        let description: String
        /// `true` if the cluster has no node of this name.
        var isUnknown = false
    }

    /// The distance between the ports of two nodes of a kind.
    private static let portDistance = 10

    private let settings: Settings
    private var nodes: [ClusterNode] = []

    init(_ settings: Settings) { self.settings = settings }

    /// The nodes in the order of their names: nsqlookupds first, because nsqds register at them.
    var descriptions: [ClusterNode.Description] { nodes.map(\.description) }

    // MARK: All nodes

    /// Starts all nodes.
    ///
    /// - Throws: why a node cannot be started; no node is running then.
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

    /// Stops all nodes that run, nsqds first.
    func stop() async {
        for index in nodes.indices.reversed() where nodes[index].description.state == .running {
            await stop(index)
        }
    }

    // MARK: One node

    /// Changes one node.
    ///
    /// - Returns: the node after the change.
    /// - Throws: `Refusal` if the node does not exist or is not in a suitable state; the error of a
    ///   start.
    func perform(_ action: Action, on name: String) async throws -> ClusterNode.Description {
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
        LineLog.logger(name, settings.broker.log.level)
    }

    /// Creates the folder of a node in the data path, which is created as well.
    ///
    /// - Returns: the folder; `nil` without a data path.
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
