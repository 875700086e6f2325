/// The NSQ topic of one queue and priority class: `jobs.QUEUE.PRIORITY`, such as `jobs.mail.high`.
///
/// The name of a queue has at most 40 characters, so the name of the topic has at most 52. NSQ allows
/// 64, and all characters of a queue's name.
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
