import Foundation

extension JobContext {
    /// Runs a part of the job once, and returns its result. If a later attempt of the job comes to the same
    /// step, the stored result is returned, and the part does not run again.
    ///
    /// ```swift
    /// let invoice = try await context.step("create invoice") { try await billing.createInvoice(for: user) }
    /// try await context.step("send") { try await mail.send(invoice) }
    /// ```
    ///
    /// The result is stored before the method returns. If the worker is killed between the end of the
    /// part and the commit of its result, the part runs again. The steps of a job are deleted with the
    /// job, and when a completed job is retried.
    ///
    /// - Parameters:
    ///   - name: identifies the step within the job: 1 to 200 bytes without control characters.
    ///   - body: the part. A step whose part throws an error is not stored.
    /// - Returns: the result of this or an earlier attempt.
    /// - Throws: the error of `body`; ``JobsError/Code/invalidName``; ``JobsError/Code/invalidOption`` if the
    ///   job is fleeting;
    ///   ``JobsError/Code/invalidArguments`` if the result cannot be encoded or decoded, or exceeds a bound
    ///   of ``JobStep``; ``JobsError/Code/storeFailed``; ``JobsError/Code/cancelled`` if the worker does
    ///   not hold the job any more.
    public func step<Value: Codable & Sendable>(
        _ name: String, _ body: () async throws -> Value
    ) async throws -> Value {
        if let stored = try await storedStep(name) { return try decode(stored, of: name) }
        let value = try await body()
        try await storeStep(name, json: encode(value, of: name))
        return value
    }

    /// Runs a part of the job that has no result, once; see ``step(_:_:)-(_,()->Value)``.
    public func step(_ name: String, _ body: () async throws -> Void) async throws {
        guard try await storedStep(name) == nil else { return }
        try await body()
        try await storeStep(name, json: "null")
    }

    /// Returns the completed steps of the job, in the order of their end.
    public func completedSteps() async throws(JobsError) -> [JobStep] {
        try await store.steps(of: job.id)
    }

    /// Returns the result of a step as JSON; `nil` if it has not completed.
    // Inlined into `step`, this method makes the optimizer of Swift 6.3 crash.
    @inline(never)
    package func storedStep(_ name: String) async throws(JobsError) -> String? {
        try checkStep(name)
        return try await store.step(name, of: job.id)
    }

    /// Stores the result of a step.
    @inline(never)
    package func storeStep(_ name: String, json: String) async throws(JobsError) {
        try checkStep(name)
        guard let claim = job.claim,
            try await store.storeStep(name, result: json, of: claim, at: clock.now())
        else {
            throw JobsError(.cancelled, "the worker does not hold job \(job.id) any more")
        }
    }

    private func checkStep(_ name: String) throws(JobsError) {
        try JobNames.check(step: name)
        guard !job.id.isFleeting else {
            throw JobsError(.invalidOption, "a fleeting job has no steps")
        }
    }

    private func encode(_ value: some Encodable, of name: String) throws(JobsError) -> String {
        do {
            return String(decoding: try JobCoding.encoder.encode(value), as: UTF8.self)
        } catch {
            throw JobsError(
                .invalidArguments, "cannot encode the result of step '\(name)': \(error)")
        }
    }

    private func decode<Value: Decodable>(
        _ text: String, of name: String
    ) throws(JobsError) -> Value {
        do {
            return try JobCoding.decoder.decode(Value.self, from: Data(text.utf8))
        } catch {
            throw JobsError(
                .invalidArguments,
                "cannot decode the stored result of step '\(name)' as '\(Value.self)': \(error)")
        }
    }
}

extension Jobs {
    /// Returns the context of a running job, for a child process of the job's worker.
    package func context(of job: JobRecord) -> JobContext {
        JobContext(job, store, clock, logger)
    }

    /// Returns the completed steps of a job, in the order of their end; see
    /// ``JobContext/step(_:_:)-(_,()->Value)``.
    public func steps(of id: JobID) async throws(JobsError) -> [JobStep] {
        try await store.steps(of: id)
    }
}
