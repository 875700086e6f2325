import Foundation

extension JobRecord {
    /// Decodes the arguments.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments``.
    public func decoded<Work: Job>(as type: Work.Type) throws(JobsError) -> Work {
        guard !EncryptedArguments.isUsed(in: arguments) else { throw .encrypted(arguments) }
        return try decode(type, from: arguments, "the arguments")
    }

    /// Decodes what the job has stored with ``JobContext/setOutput(_:)``; `nil` if it has stored nothing.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments``.
    public func output<Value: Decodable>(as type: Value.Type) throws(JobsError) -> Value? {
        guard let output else { return nil }
        return try decode(type, from: output, "the output")
    }

    private func decode<Value: Decodable>(
        _ type: Value.Type, from text: String, _ noun: String
    ) throws(JobsError) -> Value {
        do {
            return try JobCoding.decoder.decode(type, from: Data(text.utf8))
        } catch {
            throw JobsError(
                .invalidArguments, "cannot decode \(noun) of job \(id) as '\(type)': \(error)")
        }
    }
}
