extension HTTPRequest {
    /// `true` if a browser sends the request for a page of another site. Such a request must not
    /// change anything: the user has only visited that page.
    ///
    /// Browsers add `Sec-Fetch-Site` to every request to a secure or local address, and `Origin` to
    /// all requests that are neither `GET` nor `HEAD`. Other clients send neither.
    package var isFromForeignPage: Bool {
        let sites = headers.values(of: "Sec-Fetch-Site")
        guard sites.allSatisfy({ ["same-origin", "none"].contains($0) }) else { return true }
        return headers.values(of: "Origin").contains { origin in
            // The scheme is not compared, because TLS may end at a proxy.
            guard let scheme = origin.firstRange(of: "://"), let host = headers["Host"] else {
                return true
            }
            return origin[scheme.upperBound...].lowercased() != host.lowercased()
        }
    }

    /// `true` if the method announces a change, as all methods but `GET`, `HEAD` and `OPTIONS` do.
    package var isChange: Bool { !["GET", "HEAD", "OPTIONS"].contains(method) }

    /// Returns the error for a request that a browser may have sent for a page of another site; `nil`
    /// for other requests. A change from another origin is refused. On a loopback address, a request
    /// is refused if its `Host` is neither a loopback name nor one of `names`.
    package func crossSiteRefusal(names: [String]) -> HTTPFailure? {
        if isChange, isFromForeignPage { return .foreignOrigin }
        // Browsers always send a `Host` that is not empty.
        guard isOnLoopback, let host = headers["Host"], !host.isEmpty else { return nil }
        return HostNames(.loopback, and: names).accepts(host) ? nil : .unknownHost
    }
}
