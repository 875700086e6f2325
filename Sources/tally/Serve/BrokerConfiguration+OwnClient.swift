import NSQBroker
import NSQClient

extension BrokerConfiguration {
    /// Returns the options with which a processor in the same process connects to the broker. If
    /// the broker requires TLS, the processor trusts only the broker's certificate. It presents a
    /// client certificate only if `certificate` is given, or if the broker requires one.
    ///
    /// - Parameters:
    ///   - authSecret: the secret for the broker's authorization server.
    ///   - certificate: the file of the processor's certificate, and the file of its key; `nil` for
    ///     the key means the same file. If there is no certificate and the broker requires one, the
    ///     processor presents the broker's.
    /// - Throws: `UsageError` if the broker requires AUTH and there is no secret, if a certificate
    ///   is given although TLS is not used, or if a file cannot be used.
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
