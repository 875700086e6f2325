import ArgumentParser
import BrokerCore
import NSQWire
import Transport

/// What clients may have laid over their connections, by nsqd's flags.
struct TransportFlags: ParsableArguments {
    @Option(help: "The certificate that turns TLS on, with those that signed it; a PEM file.")
    var tlsCert: String?

    @Option(help: "The certificate's private key, without a passphrase; a PEM file.")
    var tlsKey: String?

    @Option(help: "The authorities that clients' certificates must come from; a PEM file.")
    var tlsRootCaFile: String?

    @Option(
        help: """
            Whether clients must show a certificate: require (any) or require-verify (one that an \
            authority has signed). Turns --tls-required on.
            """)
    var tlsClientAuthPolicy: TLSServerOptions.ClientAuth?

    @Option(
        help: """
            Refuse all commands but IDENTIFY before there is TLS: true, false, or tcp-https to leave \
            plain HTTP open.
            """)
    var tlsRequired = TLSRequirement.nowhere

    @Option(
        help: """
            The lowest TLS version: tls1.0, tls1.1, tls1.2 or tls1.3. The system's OpenSSL has the \
            last word.
            """)
    var tlsMinVersion = TLSVersion.tls10

    @Option(help: "Offer deflate: true or false.")
    var deflate = GoBool(true)

    @Option(help: "The highest deflate level that a client gets, 1 to 9.")
    var maxDeflateLevel = Limits.deflateLevel

    @Option(help: "Offer snappy: true or false.")
    var snappy = GoBool(true)

    /// Puts what was chosen into `options`.
    func apply(to options: inout BrokerOptions) {
        options.deflateEnabled = deflate.value
        options.maxDeflateLevel = maxDeflateLevel
        options.snappyEnabled = snappy.value
        options.tlsRequired = requirement != .nowhere
    }

    /// - Throws: `SetupError` if TLS is asked for and there is nothing to offer it with.
    func serverOptions() throws(SetupError) -> TLSServerOptions? {
        guard tlsCert != nil || tlsKey != nil else {
            guard requirement == .nowhere else {
                throw SetupError(
                    "cannot require TLS client connections without TLS key and cert: give "
                        + "--tls-cert and --tls-key")
            }
            return nil
        }
        guard let tlsCert, let tlsKey else {
            throw SetupError("TLS needs both --tls-cert and --tls-key")
        }
        var options = TLSServerOptions(certificateFile: tlsCert, keyFile: tlsKey)
        options.rootCAFile = tlsRootCaFile
        options.clientAuth = tlsClientAuthPolicy ?? .none
        options.minVersion = tlsMinVersion
        return options
    }

    /// A policy for certificates would be none if clients could do without TLS.
    private var requirement: TLSRequirement {
        tlsRequired == .nowhere && tlsClientAuthPolicy != nil ? .everywhere : tlsRequired
    }

    func validate() throws {
        guard (1...9).contains(maxDeflateLevel) else {
            throw ValidationError("--max-deflate-level is 1 to 9")
        }
    }
}

/// Where TLS is required.
enum TLSRequirement: ExpressibleByArgument, CustomStringConvertible {
    case nowhere, everywhere
    /// On connections of the TCP protocol, while plain HTTP stays open.
    case notForHTTP

    init?(argument: String) {
        if argument == "tcp-https" {
            self = .notForHTTP
        } else if let isRequired = GoBool(argument: argument) {
            self = isRequired.value ? .everywhere : .nowhere
        } else {
            return nil
        }
    }

    var description: String {
        switch self {
        case .nowhere: "false"
        case .everywhere: "true"
        case .notForHTTP: "tcp-https"
        }
    }

    var defaultValueDescription: String { description }
}

/// Flags that are well-formed and cannot be followed: nsqd ends with 1 for those, not with 2.
struct SetupError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension TLSServerOptions.ClientAuth: ExpressibleByArgument {
    package init?(argument: String) {
        guard argument != "none" else { return nil }
        self.init(rawValue: argument)
    }

    package static var allValueStrings: [String] { [] }
}

extension TLSVersion: ExpressibleByArgument {}
