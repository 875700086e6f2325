import HTTP
import Logging

/// The routes that send requests to Graphite.
extension AdminAPI {
    func rate(_ request: HTTPRequest) async throws(AdminFailure) -> [UInt8] {
        guard let query = HTTPQuery(parsing: request.target.query) else { throw .invalidRequest }
        guard query["metric"] == "rate" else { throw .invalidMetric }
        guard let target = query["target"] else { throw .invalidTarget }
        let graphite = options.graphite
        guard let url = graphite.rateURL(of: target) else { throw .internalError }
        let response: HTTPClientResponse
        do throws(UpstreamError) {
            response = try await client.get(url)
        } catch {
            logger.error("graphite request failed - \(error)")
            throw .internalError
        }
        guard let text = graphite.rateText(in: response) else { throw .internalError }
        return AdminJSON.rate(text)
    }

    /// Forwards a request to Graphite.
    func rendered(_ request: HTTPRequest) async throws(AdminFailure) -> HTTPResponse {
        let graphite = options.graphite
        guard graphite.isProxied, let url = graphite.renderURL(query: request.target.query) else {
            throw .notFound
        }
        do throws(UpstreamError) {
            let response = try await client.get(url)
            let type = response.headers["Content-Type"] ?? "application/octet-stream"
            return HTTPResponse(
                status: response.status, headers: [("Content-Type", type)], body: response.body)
        } catch {
            throw .upstream(error)
        }
    }
}
