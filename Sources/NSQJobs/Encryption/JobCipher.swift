/// Encrypts the arguments of jobs before they are stored, and decrypts them for their attempts.
package protocol JobCipher: Sendable {
    /// Encrypts arguments.
    ///
    /// - Parameter name: the name of the job. Decryption requires the same name.
    /// - Throws: ``JobsError/Code/invalidArguments``.
    func encrypt(_ arguments: String, of name: String) throws(JobsError) -> EncryptedArguments

    /// Decrypts arguments.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments`` if the key is not known, or the arguments are not those
    ///   of a job with this name.
    func decrypt(_ arguments: EncryptedArguments, of name: String) throws(JobsError) -> String
}

extension JobCipher {
    /// Returns the arguments of a job as they are stored. Arguments that are encrypted already, such as
    /// those of a job that was read from the store, stay as they are.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments``.
    func stored(_ arguments: String, of name: String) throws(JobsError) -> String {
        if EncryptedArguments.isUsed(in: arguments), EncryptedArguments(json: arguments) != nil {
            return arguments
        }
        return try encrypt(arguments, of: name).json
    }

    /// Decrypts the arguments of a job; returns those that are not encrypted as they are.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments``.
    func decrypted(_ job: JobRecord) throws(JobsError) -> String {
        guard EncryptedArguments.isUsed(in: job.arguments) else { return job.arguments }
        guard let encrypted = EncryptedArguments(json: job.arguments) else {
            throw JobsError(.invalidArguments, "the encrypted arguments are malformed")
        }
        return try decrypt(encrypted, of: job.name)
    }
}

extension JobsError {
    /// The error for encrypted arguments in a process without keys.
    static func encrypted(_ arguments: String) -> Self {
        let key = EncryptedArguments.key(of: arguments) ?? ""
        return Self(
            .invalidArguments,
            "the arguments are encrypted with key '\(key)', and this process has no keys")
    }
}
