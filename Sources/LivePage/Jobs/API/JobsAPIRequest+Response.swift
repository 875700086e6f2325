import HTTP
import NSQJobs
import TallyJSON

extension JobsAPIRequest {
    /// The maximum number of attempts that the response for one job contains.
    private static let maxAttempts = 100

    /// Performs the operation.
    func response(from page: JobsMonitor) async -> HTTPResponse {
        do throws(JobsError) {
            return try await result(from: page)
        } catch {
            let status =
                switch error.code {
                case .unknownJob, .unknownQueue, .unknownBatch: 404
                case .invalidTransition, .batchEnded: 409
                case .invalidArguments, .invalidName, .invalidOption: 400
                default: 503
                }
            return .failure(status, error.reason)
        }
    }

    private func result(from page: JobsMonitor) async throws(JobsError) -> HTTPResponse {
        let jobs = page.jobs
        switch self {
        case .enqueue(let new, let isList):
            let receipts = try await jobs.enqueue(contentsOf: new)
            let status = receipts.contains { $0.kind == .new } ? 201 : 200
            return .json(JobJSON.receipts(receipts, isList: isList), status: status)
        case .list(let query, let isSummary):
            let list = try await jobs.jobs(matching: query)
            return .json(isSummary ? JobSummaryJSON.page(list) : JobJSON.page(list))
        case .statistics:
            return .json(JobJSON.statistics(try await jobs.counts(), try await jobs.workers()))
        case .show(let id):
            guard let job = try await jobs.status(of: id) else { throw .unknownJob(id) }
            let attempts = try await jobs.inspection?.latestAttempts(
                of: id, limit: Self.maxAttempts)
            return .json(
                JobJSON.job(
                    job, attempts: attempts ?? [],
                    dependencies: try await jobs.dependencies(of: id),
                    steps: try await jobs.steps(of: id)))
        case .names(let prefix):
            return .json(
                JobSummaryJSON.names(try await jobs.names(withPrefix: prefix, limit: 1_000)))
        case .showBatch(let id):
            guard let batch = try await jobs.batch(id) else {
                throw JobsError(.unknownBatch, "unknown batch '\(id)'")
            }
            return .json(JobJSON.batch(batch))
        case .actions(let before):
            let actions = try await jobs.inspection?.actions(before: before, limit: 50)
            return .json(JobSummaryJSON.actions(actions ?? []))
        case .preview(let query):
            let preview = try await jobs.inspection?.preview(of: query)
            return .json(JobSummaryJSON.preview(preview ?? .init(count: 0, isComplete: true)))
        case .change, .edit, .setPaused, .startBulk, .cancelBulk, .setLimit, .enqueueBatch:
            return try await change(page)
        }
    }

    // MARK: Changes

    private func change(_ page: JobsMonitor) async throws(JobsError) -> HTTPResponse {
        let response: HTTPResponse
        switch self {
        case .change(let id, let change):
            response = try await page.logged("\(change)", of: id) { jobs throws(JobsError) in
                switch change {
                case .retry: try await jobs.retry(id)
                case .cancel: try await jobs.cancel(id)
                case .discard: try await jobs.discard(id)
                }
            }
        case .edit(let id, let edit):
            let name = edit == JobEdit(queue: edit.queue) ? "move to \(edit.queue ?? "")" : "edit"
            response = try await page.logged(name, of: id) { jobs throws(JobsError) in
                try await jobs.edit(id, edit)
            }
        case .setPaused(let isPaused, let queue):
            let jobs = page.jobs
            if isPaused { try await jobs.pause(queue) } else { try await jobs.resume(queue) }
            await page.log(NewJobAction(isPaused ? "pause" : "resume", target: "queue \(queue)"))
            response = .json(
                JSONWriter.object {
                    $0.member("queue", queue)
                    $0.member("paused", isPaused)
                })
        case .setLimit(let limit, let queue, let isPerKey):
            try await page.jobs.setLimit(limit, of: queue, perKey: isPerKey)
            await page.log(NewJobAction("limit", target: "queue \(queue)"))
            response = .json(JobJSON.limit(limit, queue: queue, isPerKey: isPerKey))
        case .enqueueBatch(let new, let callback):
            let (id, receipts) = try await page.jobs.enqueueBatch(new, then: callback)
            response = .json(JobJSON.batch(id, receipts), status: 201)
        case .startBulk(let bulk): response = try await start(bulk, page)
        case .cancelBulk(let number):
            guard page.runner.cancel(number) else {
                return .failure(404, "no operation with number \(number) runs")
            }
            response = .json(JSONWriter.object { $0.member("operation", number) })
        default: preconditionFailure("only changes are performed here")
        }
        await page.read()
        return response
    }

    private func start(_ bulk: Bulk, _ page: JobsMonitor) async throws(JobsError) -> HTTPResponse {
        if case .edit(let edit) = bulk.change, let queue = edit.queue {
            try JobNames.check(queue: queue)
        }
        let preview = try await page.jobs.inspection?.preview(of: bulk.query)
        let number = page.runner.start(
            bulk.change, bulk.name, of: bulk.query, target: bulk.query.summary,
            preview ?? .init(count: 0, isComplete: true)
        ) { [weak page] in await page?.read() }
        guard let number else {
            return .failure(
                503, "\(JobBulkOperationList.maxRunning) changes of many jobs run already")
        }
        return .json(JSONWriter.object { $0.member("operation", number) }, status: 202)
    }
}

extension JobsMonitor {
    /// Adds an entry to the action log. The action itself has succeeded, so a failure to store the
    /// entry is ignored.
    fileprivate func log(_ action: NewJobAction) async {
        try? await jobs.inspection?.record(action, at: jobs.now())
    }

    /// Changes one job, and adds the change to the action log.
    fileprivate func logged(
        _ name: String, of id: JobID,
        _ change: (Jobs) async throws(JobsError) -> JobRecord
    ) async throws(JobsError) -> HTTPResponse {
        let job = try await change(jobs)
        await log(NewJobAction(name, target: "job \(id) (\(job.name))"))
        return .json(JobJSON.job(job))
    }
}

extension JobQuery {
    /// A description of the selected jobs for the action log.
    fileprivate var summary: String {
        var parts: [String] = []
        if !states.isEmpty {
            parts.append(
                states.sorted { $0.rawValue < $1.rawValue }.map(\.description)
                    .joined(separator: " or "))
        }
        if let queue { parts.append("in queue \(queue)") }
        if let name { parts.append("named \(name)") }
        if let batch { parts.append("of batch \(batch)") }
        if let tag { parts.append("with tag \(tag)") }
        if let text { parts.append("with the text \u{201c}\(text)\u{201d}") }
        if let errorGroup { parts.append("with error \(errorGroup)") }
        return parts.isEmpty ? "all jobs" : "jobs " + parts.joined(separator: ", ")
    }
}

extension JobJSON {
    fileprivate static func receipts(_ receipts: [EnqueueReceipt], isList: Bool) -> [UInt8] {
        guard isList else { return receipt(receipts[0]) }
        return list(receipts)
    }

    private static func list(_ receipts: [EnqueueReceipt]) -> [UInt8] {
        var bytes = [UInt8(ascii: "[")]
        for (index, one) in receipts.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += receipt(one)
        }
        return bytes + [UInt8(ascii: "]")]
    }

    fileprivate static func batch(_ id: JobBatchID, _ receipts: [EnqueueReceipt]) -> [UInt8] {
        Array(#"{"id":\#(id),"jobs":"#.utf8) + list(receipts) + [UInt8(ascii: "}")]
    }
}
