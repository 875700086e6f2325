import TallyBasics

extension PrometheusText {
    /// Adds the metrics of a processor.
    ///
    /// The number of samples is bounded, because messages cannot add values of labels: the value of
    /// a label is a reason of `Rejection`, a constant, or the name of a client from the command
    /// line.
    package mutating func add(_ metrics: ProcessorMetrics) {
        addPlays(metrics)
        addStore(metrics)
        addConsumer(metrics)
        addCalls(metrics.clients)
        addUnpublished(metrics.clients)
    }

    private mutating func addPlays(_ metrics: ProcessorMetrics) {
        add("tally_plays_counted_total", .counter, "Number of counted plays, after their commit.")
        sample(metrics.statistics.counted)
        add(
            "tally_plays_repeated_total", .counter,
            "Number of plays that were not counted, because they had been counted before.")
        sample(metrics.statistics.duplicates)
        add(
            "tally_messages_rejected_total", .counter,
            "Number of messages that are not plays, by reason.")
        for reason in Rejection.allCases {
            sample(metrics.statistics.rejected[reason] ?? 0, ("reason", reason.rawValue))
        }
    }

    private mutating func addStore(_ metrics: ProcessorMetrics) {
        add("tally_store_plays", .gauge, "Sum of all counts in the store.")
        sample(metrics.storedPlays)
        add("tally_store_videos", .gauge, "Number of videos with plays.")
        sample(metrics.videos)
        add("tally_store_healthy", .gauge, "1 if the last commit succeeded, 0 if it failed.")
        sample(metrics.lastCommitError == nil)
        add(
            "tally_store_commit_failures_total", .counter,
            "Number of failed commits, with failed repetitions.")
        sample(metrics.commits.failures)
        add(
            "tally_store_commit_duration_seconds", .histogram,
            "Duration of a commit with changes that succeeded.")
        sample(metrics.commits.durations)
        add(
            "tally_store_commit_plays", .histogram,
            "Number of plays that a commit of received messages counted.")
        sample(metrics.commits.plays)
    }

    private mutating func addConsumer(_ metrics: ProcessorMetrics) {
        add(
            "tally_nsqd_connections", .gauge, "Number of nsqds to which the processor is connected."
        )
        sample(metrics.connections)
        add(
            "tally_messages_in_flight", .gauge,
            "Number of received messages that are neither finished nor requeued.")
        sample(metrics.messagesInFlight)
        add(
            "tally_backlog_age_seconds", .gauge,
            "Time since the publish of the oldest message that is not committed, as far as known.")
        sample(metrics.backlogAge)
    }

    private mutating func addCalls(_ clients: [ClientMetrics]) {
        add("tally_calls_total", .counter, "Number of calls that a client accepted, by kind.")
        for client in clients {
            sample(client.immediateCalls, ("client", client.client), ("kind", "immediate"))
            sample(client.batchedCalls, ("client", client.client), ("kind", "batched"))
        }
        add(
            "tally_call_failures_total", .counter,
            "Number of calls that a client did not accept.")
        for client in clients { sample(client.failedCalls, ("client", client.client)) }
        add(
            "tally_call_retries_total", .counter,
            "Number of attempts to publish after a failed call.")
        for client in clients { sample(client.retries, ("client", client.client)) }
        add(
            "tally_immediate_latency_seconds", .histogram,
            "Time from the receipt of an immediate play to the end of the call with its count.")
        for client in clients { sample(client.immediateLatency, ("client", client.client)) }
    }

    private mutating func addUnpublished(_ clients: [ClientMetrics]) {
        add(
            "tally_unpublished_videos", .gauge,
            "Lag of a client: number of videos whose latest count it has not accepted.")
        for client in clients { sample(client.unpublishedVideos, ("client", client.client)) }
        add(
            "tally_oldest_unpublished_age_seconds", .gauge,
            "Time since the receipt of the oldest play that no accepted call contains.")
        for client in clients { sample(client.oldestUnpublished, ("client", client.client)) }
    }
}
