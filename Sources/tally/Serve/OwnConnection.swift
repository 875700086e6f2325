import NSQBroker
import NSQClient

extension BrokerConfiguration {
    /// The options with which a processor in the same process connects to the broker. If the broker
    /// requires TLS, the processor trusts exactly the broker's certificate, and presents it if the
    /// broker requires a client certificate.
    ///
    /// - Parameter authSecret: the secret for the broker's authorization server.
    /// - Throws: `UsageError` if the broker requires AUTH and there is no secret, or if a file cannot
    ///   be used.
    func ownClientOptions(authSecret: String?) throws -> ClientOptions {
        guard options.auth.httpAddresses.isEmpty || authSecret != nil else {
            throw UsageError(
                "the processor cannot authenticate at --auth-http-address (pass its secret with "
                    + "--nsqd-auth-secret)")
        }
        var client = ClientOptions(ofCommand: "serve")
        client.authSecret = authSecret
        let tls = try options.validated().tls
        guard tls.requirement != .nowhere else { return client }
        let presents = !tls.clientAuthPolicy.isEmpty
        do throws(NSQError) {
            client.tls = try ClientTLS(
                trust: .certificate(file: tls.certificateFile),
                certificateFile: presents ? tls.certificateFile : nil,
                keyFile: presents ? tls.keyFile : nil)
        } catch {
            throw UsageError("\(error) (check --tls-cert and --tls-key)")
        }
        return client
    }
}
