extension Jobs {
    /// Returns a job with its arguments decrypted, for example before ``JobRecord/decoded(as:)``. A job
    /// without encrypted arguments is returned as it is.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments`` if this object does not have the key, or the arguments
    ///   were changed.
    public func decrypted(_ job: JobRecord) throws(JobsError) -> JobRecord {
        var job = job
        job.arguments = try middleware.decrypted(job)
        return job
    }

    /// Returns an edit with its arguments encrypted, if this object encrypts.
    func encrypted(_ edit: JobEdit, of id: JobID) async throws(JobsError) -> JobEdit {
        guard let cipher = middleware.cipher, let arguments = edit.arguments else { return edit }
        guard let job = try await store.job(id) else { throw .unknownJob(id) }
        var edit = edit
        edit.arguments = try cipher.stored(arguments, of: job.name)
        try edit.validate()
        return edit
    }
}
