import Foundation

/// Certificates for one test, made by the `openssl` command: a CA, a server and a client that the CA
/// has signed, and a self-signed client. Their files are deleted when the object is released.
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

    /// Writes the stranger's certificate with a zero byte in its common name.
    ///
    /// - Returns: the path of a PEM file. The certificate's signature is invalid.
    package func stranger(withZeroIn start: String, _ end: String) throws -> String {
        let lines = try String(contentsOfFile: stranger.certificate, encoding: .utf8)
            .split(separator: "\n")
        let encoded = lines.filter { !$0.hasPrefix("-----") }.joined()
        var bytes = Array(Data(base64Encoded: encoded) ?? Data())
        for place in bytes.indices
        where bytes[place...].starts(with: start.utf8)
            && bytes[place...].dropFirst(start.utf8.count + 1).starts(with: end.utf8)
        {
            bytes[place + start.utf8.count] = 0
        }
        let file = folder.path("zero.pem")
        let text = Data(bytes).base64EncodedString(options: .lineLength64Characters)
        try "-----BEGIN CERTIFICATE-----\n\(text)\n-----END CERTIFICATE-----\n"
            .write(toFile: file, atomically: true, encoding: .utf8)
        return file
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
