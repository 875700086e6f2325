import GRDB

extension SQLiteSchema {
    /// Creates the tables and columns for the page about the jobs: the memory of workers, times of
    /// attempts, failed jobs by their errors, and the actions of people.
    static func createInspectionTables(_ database: Database) throws {
        for statement in [
            "ALTER TABLE nsq_jobs_worker ADD COLUMN memory INTEGER", liveWorkers, timing,
            error, "CREATE INDEX nsq_jobs_error_count ON nsq_jobs_error (count)", failure,
            "CREATE INDEX nsq_jobs_failure_error ON nsq_jobs_failure (error_id, job_id)", action,
        ] {
            try database.execute(sql: statement)
        }
        try addExistingJobs(database)
        for trigger in [errorsPruned, failureDeleted] {
            try database.execute(sql: trigger)
        }
    }

    private static func addExistingJobs(_ database: Database) throws {
        for statement in [
            """
            INSERT INTO nsq_jobs_error (name, error, count, latest_job, latest_at)
            SELECT job.name, \(errorText("job")), count(*), max(job.id),
                max(ifnull(job.finished_at, ifnull(job.started_at, 0)))
            FROM nsq_jobs_job AS job WHERE \(isFailed("job")) GROUP BY 1, 2
            """,
            """
            INSERT INTO nsq_jobs_failure (job_id, error_id)
            SELECT job.id, error.id FROM nsq_jobs_job AS job
            JOIN nsq_jobs_error AS error ON error.name = job.name
                AND error.error = \(errorText("job"))
            WHERE \(isFailed("job"))
            """,
        ] {
            try database.execute(sql: statement)
        }
    }

    private static let liveWorkers = """
        CREATE INDEX nsq_jobs_worker_live ON nsq_jobs_worker (seen_at) WHERE stopped_at IS NULL
        """

    /// Histograms of the waits and durations of attempts; see `JobTiming`.
    private static let timing = """
        CREATE TABLE nsq_jobs_timing (
            queue_id INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            bucket INTEGER NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (queue_id, kind, bucket)
        ) STRICT, WITHOUT ROWID
        """

    /// Groups of failed jobs with the same name and a similar error. `latest_job` is the job that failed
    /// last. A group without jobs stays for a while, so that its number remains valid.
    private static let error = """
        CREATE TABLE nsq_jobs_error (
            id INTEGER NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            error TEXT NOT NULL,
            count INTEGER NOT NULL,
            latest_job INTEGER NOT NULL,
            latest_at INTEGER NOT NULL,
            UNIQUE (name, error)
        ) STRICT
        """

    /// The group of each job that is retryable or discarded.
    private static let failure = """
        CREATE TABLE nsq_jobs_failure (
            job_id INTEGER NOT NULL PRIMARY KEY,
            error_id INTEGER NOT NULL
        ) STRICT
        """

    private static let action = """
        CREATE TABLE nsq_jobs_action (
            id INTEGER NOT NULL PRIMARY KEY,
            at INTEGER NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            changed INTEGER NOT NULL,
            unchanged INTEGER NOT NULL,
            error TEXT
        ) STRICT
        """

    // MARK: Failed jobs

    /// The SQL condition for a job whose attempt failed, and that was not discarded by request.
    static func isFailed(_ row: String) -> String {
        "\(row).state IN (3, 5) AND \(row).note IS NOT NULL AND \(row).note <> 'discarded by request'"
    }

    /// The SQL expression for the first line of an error, up to 200 characters. Numbers are replaced by
    /// `#`, so that errors that differ only in numbers belong to one group.
    static func errorText(_ row: String) -> String {
        let note = "\(row).note"
        let line = "substr(\(note), 1, instr(\(note) || char(10), char(10)) - 1)"
        let digits = (0...9).reduce("substr(\(line), 1, 200)") { "replace(\($0), '\($1)', '#')" }
        return (0..<5).reduce(digits) { text, _ in "replace(\(text), '##', '#')" }
    }

    private static let failureDeleted = """
        CREATE TRIGGER nsq_jobs_failure_deleted AFTER DELETE ON nsq_jobs_job
        WHEN OLD.state IN (3, 5)
        BEGIN
            UPDATE nsq_jobs_error SET count = count - 1
            WHERE id = (SELECT error_id FROM nsq_jobs_failure WHERE job_id = OLD.id);
            DELETE FROM nsq_jobs_failure WHERE job_id = OLD.id;
        END
        """

    /// Deletes old groups without jobs, each time that 256 groups were added.
    private static let errorsPruned = """
        CREATE TRIGGER nsq_jobs_errors_pruned AFTER INSERT ON nsq_jobs_error
        WHEN NEW.id % 256 = 0
        BEGIN
            DELETE FROM nsq_jobs_error WHERE count <= 0 AND id < NEW.id - 256;
        END
        """
}
