import ArgumentParser
import HTTP
import NSQClient
import NSQTools
import TallyJSON
import UVLoop

/// The options of the commands that control a running cluster.
struct ClusterControlOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The --control-address of the running tally cluster.", valueName: "host:port"))
    var controlAddress = ClusterAPI.defaultAddress

    @Flag(help: "Print the nodes as one JSON object.")
    var json = false

    /// Sends a request to the running cluster, and prints the nodes of the response.
    func perform(_ request: ClusterRequest) async throws {
        let nodes = try await response(to: request)
        print(
            json
                ? String(decoding: ClusterText.json(nodes), as: UTF8.self)
                : ClusterText.table(nodes))
    }

    private func response(to request: ClusterRequest) async throws -> [ClusterNode.Description] {
        // The request to stop an nsqd takes as long as its clean shutdown.
        let sender = try HTTPSender(
            connectTimeout: .seconds(2), requestTimeout: .seconds(60), maxBodyBytes: 1 << 20)
        var url: HTTPURL
        do {
            url = try HTTPURL(lookupd: controlAddress)
        } catch {
            throw UsageError("invalid --control-address '\(controlAddress)': \(error)")
        }
        url.target = request.path
        let body: [UInt8]? = request == .list ? nil : []
        let result = await sender.send(url, headers: [], body: body)
        await sender.stop()
        switch result {
        case .failure(let error):
            throw UsageError(
                "\(url): \(error) (is tally cluster running? pass its --control-address)")
        case .success(let response):
            if response.status == 200, let nodes = ClusterText.nodes(in: response.body) {
                return nodes
            }
            throw UsageError(Self.reason(response) ?? "\(url): status \(response.status)")
        }
    }

    private static func reason(_ response: HTTPClientResponse) -> String? {
        guard let json = try? JSONValue(parsingStrictly: response.body, maxDepth: 4) else {
            return nil
        }
        return json["error"].flatMap { String(json: $0) }
    }
}

/// `tally cluster list`: prints the nodes of the running cluster.
struct ListClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Prints the nodes of the running cluster.",
        discussion: "A node is running, stopped or changing."
            + HelpText.examples(
                #"""
                tally cluster --nsqd=2 --lookupd=1 < /dev/null & sleep 1
                tally cluster list
                tally cluster list --json
                kill $!
                """#))

    @OptionGroup var control: ClusterControlOptions

    func run() async throws { try await control.perform(.list) }
}

/// `tally cluster stop`: stops one node.
struct StopNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Stops one node of the running cluster.",
        discussion: "Messages of an nsqd without --data-path are lost."
            + HelpText.examples(
                #"""
                tally cluster --nsqd=2 --lookupd=1 < /dev/null & sleep 1
                tally cluster stop nsqd-2
                tally cluster list --json
                kill $!
                """#))

    @Argument(help: "The name of the node, such as nsqd-2 or lookupd-1.")
    var node: String

    @OptionGroup var control: ClusterControlOptions

    func run() async throws { try await control.perform(.change(.stop, node)) }
}

/// `tally cluster start`: starts a stopped node.
struct StartNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Starts a stopped node of the running cluster.",
        discussion: "The node has the same addresses as before."
            + HelpText.examples(
                #"""
                tally cluster --nsqd=2 --lookupd=1 < /dev/null & sleep 1
                tally cluster stop nsqd-2
                tally cluster start nsqd-2
                kill $!
                """#))

    @Argument(help: "The name of the node, such as nsqd-2 or lookupd-1.")
    var node: String

    @OptionGroup var control: ClusterControlOptions

    func run() async throws { try await control.perform(.change(.start, node)) }
}

/// `tally cluster restart`: stops and starts one node.
struct RestartNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Stops and starts one node of the running cluster.",
        discussion: "Messages of an nsqd without --data-path are lost."
            + HelpText.examples(
                #"""
                tally cluster --nsqd=2 --lookupd=1 < /dev/null & sleep 1
                tally cluster restart lookupd-1
                tally cluster list --json
                kill $!
                """#))

    @Argument(help: "The name of the node, such as nsqd-2 or lookupd-1.")
    var node: String

    @OptionGroup var control: ClusterControlOptions

    func run() async throws { try await control.perform(.change(.restart, node)) }
}
