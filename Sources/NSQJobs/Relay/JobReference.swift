/// The ID of a job, and the version in which it waits for a worker. Each message of the relay contains
/// one reference.
package struct JobReference: Hashable, Sendable {
    package let id: JobID
    package let version: Int

    package init(id: JobID, version: Int) {
        self.id = id
        self.version = version
    }
}

/// A job that the store has reserved for the caller, which must publish the reference to the topic.
package struct ReservedJob: Hashable, Sendable {
    package let reference: JobReference
    package let topic: JobTopic
    package let name: String

    package init(_ reference: JobReference, to topic: JobTopic, name: String) {
        self.reference = reference
        self.topic = topic
        self.name = name
    }
}
