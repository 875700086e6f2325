import HTTP
import TallyJSON
import UVLoop

/// The HTTP API through which other commands control a local cluster. It accepts only requests from
/// this machine, and refuses cross-site requests from a browser.
final class ClusterAPI: HTTPService {
    /// The address at which commands expect the API.
    static let defaultAddress = "127.0.0.1:4169"
    private static let maxConnections = 16

    private let cluster: LocalCluster
    private let loop: Loop
    private let hosts = HostNames(.loopback)
    private lazy var http = HTTPServer(serving: self, on: loop)

    private init(_ cluster: LocalCluster, on loop: Loop) {
        self.cluster = cluster
        self.loop = loop
    }

    /// Starts a thread with the API.
    ///
    /// - Returns: the API, and the bound address with the port that the kernel assigned.
    /// - Throws: `UVError` if the address cannot be bound.
    static func start(
        _ cluster: LocalCluster, at address: SocketAddress
    ) async throws -> (host: LoopHost<ClusterAPI>, address: SocketAddress) {
        let (host, bound) = try await LoopHost.start(threadName: "cluster api") { loop in
            let api = ClusterAPI(cluster, on: loop)
            api.http.limit = (maxConnections, .error(503, "too many connections"))
            return (api, try api.http.listen(at: address))
        }
        return (host, bound)
    }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard let host = request.headers["Host"], hosts.accepts(host) else {
            return .refuse(.error(421, "the API is served under localhost only"))
        }
        guard !request.isFromForeignPage else {
            return .refuse(.error(403, "a page of another site must not control the cluster"))
        }
        return .skip
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        do throws(ClusterRequest.Refusal) {
            let operation = try ClusterRequest(method: request.method, path: request.target.path)
            self.respond(on: loop, respond) { [cluster] in
                await operation.response(from: cluster)
            }
        } catch {
            respond(.error(error.status, error.reason))
        }
    }
}

extension ClusterAPI: LoopHosted {
    /// Responds to the requests in progress, and closes the connections.
    func stop(_ done: @escaping () -> Void) { http.stop(done) }
}

extension ClusterRequest {
    fileprivate func response(from cluster: LocalCluster) async -> HTTPResponse {
        do {
            switch self {
            case .list: return .json(ClusterText.json(try await cluster.startedDescriptions()))
            case .change(let action, let name):
                return .json(ClusterText.json([try await cluster.perform(action, on: name)]))
            }
        } catch let refusal as LocalCluster.Refusal {
            return .error(refusal.isUnknown ? 404 : 409, refusal.description)
        } catch {
            return .error(500, "\(error)")
        }
    }
}

extension HTTPResponse {
    fileprivate static func json(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status,
            headers: [("Content-Type", "application/json"), ("Cache-Control", "no-store")],
            body: body)
    }

    fileprivate static func error(_ status: Int, _ message: String) -> HTTPResponse {
        json(JSONWriter.object { $0.member("error", message) }, status: status)
    }
}
