import HTTP
import TallyJSON

/// Requests to Graphite.
extension GraphiteOptions {
    private var intervalSeconds: Int { Int(interval.components.seconds) }

    /// The URL from which Graphite returns the value of a statistic in the last full interval;
    /// `nil` if there is no Graphite.
    func rateURL(of target: String) -> HTTPURL? {
        guard var url = renderURL(query: nil) else { return nil }
        url.append("format", "json")
        url.append("from", "-\(intervalSeconds * 2)sec")
        url.append("target", target)
        url.append("until", "-\(intervalSeconds)sec")
        return url
    }

    /// The URL of Graphite's `/render`.
    func renderURL(query: String?) -> HTTPURL? {
        guard var base = UpstreamURL.parse(url) else { return nil }
        while base.target.hasSuffix("/") { base.target.removeLast() }
        base.target += "/render" + (query.map { "?\($0)" } ?? "")
        return base
    }

    /// The rate per second in a response to ``rateURL(of:)``, with two decimals.
    ///
    /// - Returns: `nil` if the response has no value.
    func rateText(in response: HTTPClientResponse) -> String? {
        guard response.status == 200,
            let json = try? JSONValue(parsingLikeGo: response.body, keptDepth: 4),
            case .array(let series) = json,
            case .array(let point)? = series.first?.elements("datapoints")?.first,
            case .number(let digits)? = point.first, let sum = Double(digits), abs(sum) < 1e15
        else { return nil }
        guard sum >= 0 else { return "N/A" }
        let hundredths = Int((sum / Double(intervalSeconds) * 100).rounded(.toNearestOrEven))
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }
}
