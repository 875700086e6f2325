/// One pass over all topics that releases their unused memory, in steps within the budgets of several
/// iterations.
struct MemoryRelease {
    /// The topics, segments and channels that are left; the last ones are next. The segments and
    /// channels are those of `topic`.
    private var topics: [Topic]
    private var topic: Topic?
    private var segments: [Segment] = []
    private var channels: [Channel] = []

    /// Creates a pass.
    init(of topics: [Topic] = []) { self.topics = topics }

    /// `true` if nothing is left.
    var isDone: Bool { topics.isEmpty && topic == nil }

    /// Continues the pass within the budget for timers, with at least one step.
    mutating func run(_ context: BrokerContext) {
        repeat {
            context.budget.timers.charge(releaseNext())
        } while !isDone && context.budget.timers.hasSteps
    }

    /// Releases the unused memory of the next topic, segment or channel.
    ///
    /// - Returns: the number of steps.
    private mutating func releaseNext() -> Int {
        guard let topic, !topic.isDeleted else { return beginNextTopic() }
        if let segment = segments.popLast() {
            // Each channel is asked for the messages that it needs.
            if topic.segments.contains(segment) { topic.compact(segment) }
            return 1 + topic.channels.count
        }
        if let channel = channels.popLast() {
            channel.deliveries.releaseUnusedMemory()
            return 1
        }
        return beginNextTopic()
    }

    /// What a topic costs in the budget, besides 1 for each channel.
    private static let topicBaseCost = 4

    private mutating func beginNextTopic() -> Int {
        topic = topics.popLast()
        segments = []
        channels = []
        guard let topic, !topic.isDeleted else { return Self.topicBaseCost }
        topic.closeUnneededTails()
        segments = topic.segments.all.filter { $0.isSealed && $0.isResident }.reversed()
        channels = topic.channels
        return Self.topicBaseCost + topic.channels.count
    }
}
