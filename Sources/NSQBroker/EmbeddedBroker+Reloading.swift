import Transport
import UVLoop

extension EmbeddedBroker {
    /// Reads the files of certificates, keys and authorities again, and sets the lowest level to log.
    ///
    /// Open connections keep their certificates; new connections use the new files.
    ///
    /// - Parameters:
    ///   - level: the new level; `nil` keeps the current level.
    ///   - certificates: `true` reads the files again; `false` keeps the current ones.
    /// - Throws: `TLSSetupError` if a file cannot be used. Then the former files stay in use, and the
    ///   level does not change either.
    package func reload(level: LogLevel?, certificates: Bool) async throws(TLSSetupError) {
        let result = await host.perform { server -> Result<Void, TLSSetupError> in
            Result { () throws(TLSSetupError) in
                if certificates { try server.reloadCertificates() }
                if let level { server.changeOptions { $0.log.level = level } }
            }
        }
        try result?.get()
    }

    /// Runs a closure on the broker's thread. A closure that runs shows that the loop makes progress.
    package func submit(_ body: @escaping @Sendable () -> Void) {
        host.submit { _ in body() }
    }
}
