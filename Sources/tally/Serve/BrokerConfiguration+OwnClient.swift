import NSQBroker
import NSQClient

extension BrokerConfiguration {
    /// The options with which a processor in the same process connects to the broker. If the broker
    /// requires TLS, the processor trusts exactly the broker's certificate. It presents a client
    /// certificate only if it has one of its own, or if the broker requires one.
    ///
    /// - Parameters:
    ///   - authSecret: the secret for the broker's authorization server.
    ///   - certificate: the file of the processor's certificate, and that of its key, which is the
    ///     same file if it is `nil`. Without a certificate of its own, the processor presents the
    ///     broker's where one is required.
    /// - Throws: `UsageError` if the broker requires AUTH and there is no secret, or if a file cannot
    ///   be used.
    func ownClientOptions(
        authSecret: String?, certificate: (file: String, key: String?)? = nil
    ) throws -> ClientOptions {
        guard options.auth.httpAddresses.isEmpty || authSecret != nil else {
            throw UsageError(
                "the processor cannot authenticate at --auth-http-address (pass its secret with "
                    + "--nsqd-auth-secret or in \(SecretVariables.authSecretName))")
        }
        var client = ClientOptions(ofCommand: "serve")
        client.authSecret = authSecret
        let tls = try options.validated().tls
        guard tls.requirement != .nowhere else {
            guard certificate == nil else {
                throw UsageError(
                    "--nsqd-tls-cert has no use without --tls-required, because the processor then "
                        + "connects without TLS (remove it, or pass --tls-required)")
            }
            return client
        }
        let own = tls.requiresClientCertificate ? (tls.certificateFile, tls.keyFile) : nil
        let presented = certificate ?? own
        do throws(NSQError) {
            client.tls = try ClientTLS(
                trust: .certificate(file: tls.certificateFile),
                certificateFile: presented?.file, keyFile: presented?.key)
        } catch {
            let flags = certificate == nil ? "--tls" : "--nsqd-tls"
            throw UsageError("\(error) (check \(flags)-cert and \(flags)-key)")
        }
        return client
    }
}
