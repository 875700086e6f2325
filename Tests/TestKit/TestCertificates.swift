import Foundation

/// Certificates made for one test by the `openssl` command, gone when it lets go of them: an
/// authority, a server and a client that it has signed, and a client that nobody has.
package final class TestCertificates: Sendable {
    private let folder: TemporaryFolder

    package let authority: String
    package let server: Identity
    package let client: Identity
    package let stranger: Identity

    /// PEM files.
    package struct Identity: Sendable {
        package let certificate: String
        package let key: String
    }

    package init() throws {
        let folder = try TemporaryFolder()
        self.folder = folder
        func make(_ name: String, _ arguments: [String] = []) throws -> Identity {
            let identity = Identity(
                certificate: folder.path("\(name).pem"),
                key: folder.path("\(name).key"))
            try Self.openssl(
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", "/CN=\(name)", "-keyout", identity.key, "-out",
                    identity.certificate,
                ] + arguments)
            return identity
        }
        let authority = try make("authority")
        let signed = ["-CA", authority.certificate, "-CAkey", authority.key]
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
        let names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        self.authority = authority.certificate
        server = try make("server", signed + leaf + names)
        client = try make("client", signed + leaf)
        stranger = try make("stranger", leaf)
    }

    private static func openssl(_ arguments: [String]) throws {
        let process = try BuiltProcess(
            ["openssl"] + arguments, executable: URL(filePath: "/usr/bin/env"))
        guard process.status() == 0 else {
            let said = process.lines(of: .standardError).joined(separator: "\n")
            throw CertificateError(description: said)
        }
    }

    private struct CertificateError: Error, CustomStringConvertible {
        let description: String
    }
}
