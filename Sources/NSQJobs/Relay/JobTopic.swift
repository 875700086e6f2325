/// The NSQ topic of one queue and priority class: `jobs.QUEUE.PRIORITY`, such as `jobs.mail.high`.
///
/// The name of a queue has at most 40 characters that NSQ allows in names, so the name of the topic has
/// at most 52 of the 64 that NSQ allows.
package struct JobTopic: Hashable, Sendable {
    package let queue: String
    package let priority: JobPriority

    package init(queue: String, priority: JobPriority) {
        self.queue = queue
        self.priority = priority
    }

    /// The name of the topic.
    package var name: String { "jobs.\(queue).\(priority)" }

    /// The channel that all workers share.
    package static let channel = "workers"
}
