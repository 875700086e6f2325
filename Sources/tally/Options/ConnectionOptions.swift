import ArgumentParser
import NSQClient

/// The options of connections to nsqd. Any TLS option enables TLS.
struct ConnectionOptions: ParsableArguments {
    @Flag(help: "Connect to nsqd over TLS, and verify its certificate.")
    var nsqdTls = false

    @Option(
        help: """
            A PEM file with the certificate authorities for nsqd's certificate. Default: the \
            system's authorities.
            """)
    var nsqdTlsRootCaFile: String?

    @Option(help: "A PEM file with a client certificate, for an nsqd that requires one.")
    var nsqdTlsCert: String?

    @Option(help: "A PEM file with its private key. Default: the file of --nsqd-tls-cert.")
    var nsqdTlsKey: String?

    @Option(
        help: "The name that nsqd's certificate must contain. Default: the host of its address.")
    var nsqdTlsServerName: String?

    @Flag(help: "Accept every certificate. An attacker in the network can then read all messages.")
    var nsqdTlsInsecureSkipVerify = false

    @Option(help: "The compression of connections to nsqd: none, snappy or deflate.")
    var nsqdCompression = Compression.none

    @Option(
        help: """
            The secret for an nsqd with --auth-http-address. Default: the environment variable \
            \(SecretVariables.authSecretName).
            """)
    var nsqdAuthSecret: String?

    enum Compression: String, ExpressibleByArgument {
        case none, snappy, deflate
    }

    func validate() throws {
        guard !nsqdTlsInsecureSkipVerify || nsqdTlsRootCaFile == nil else {
            throw ValidationError(
                "--nsqd-tls-insecure-skip-verify and --nsqd-tls-root-ca-file cannot be combined")
        }
        try validateTLS(certificate: nsqdTlsCert, key: nsqdTlsKey)
        guard nsqdAuthSecret?.isEmpty != true else {
            throw ValidationError("--nsqd-auth-secret must not be empty")
        }
    }

    /// The options for clients.
    ///
    /// - Parameter command: the name of the subcommand, which nsqd's statistics show.
    /// - Throws: `UsageError` if a file cannot be used.
    func clientOptions(ofCommand command: String) throws -> ClientOptions {
        var options = ClientOptions(ofCommand: command)
        if usesTLS { options.tls = try tls() }
        options.authSecret = nsqdAuthSecret ?? SecretVariables.authSecret
        options.compression =
            switch nsqdCompression {
            case .none: .none
            case .snappy: .snappy
            case .deflate: .deflate()
            }
        return options
    }

    private var usesTLS: Bool {
        nsqdTls || nsqdTlsInsecureSkipVerify || nsqdTlsRootCaFile != nil || nsqdTlsCert != nil
            || nsqdTlsServerName != nil
    }

    private func tls() throws -> ClientTLS {
        let trust: ClientTLS.Trust =
            if nsqdTlsInsecureSkipVerify {
                .insecureWithoutVerification
            } else {
                nsqdTlsRootCaFile.map { .authorities(file: $0) } ?? .system
            }
        do throws(NSQError) {
            return try ClientTLS(
                trust: trust, certificateFile: nsqdTlsCert, keyFile: nsqdTlsKey,
                serverName: nsqdTlsServerName)
        } catch {
            throw UsageError("\(error) (check the --nsqd-tls options)")
        }
    }
}
