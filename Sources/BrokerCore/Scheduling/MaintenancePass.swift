/// One pass over all topics, in steps within the budgets of several iterations. The pass releases
/// unused memory, and counts the bytes of durable messages that are still needed.
struct MaintenancePass {
    /// The topics, segments and channels that are not processed yet; each array is processed from its
    /// end. The segments and channels belong to `topic`.
    private var topics: [Topic]
    private var topic: Topic?
    private var segments: [Segment] = []
    private var channels: [Channel] = []

    /// An estimate of the size of all durable messages that are still needed, in bytes. It is complete
    /// once ``isDone`` is `true`.
    private(set) var neededBytes = 0

    init(of topics: [Topic] = []) { self.topics = topics }

    /// `true` if the pass has processed all topics.
    var isDone: Bool { topics.isEmpty && topic == nil }

    /// Continues the pass within the budget for timers, with at least one step.
    mutating func run(_ context: BrokerContext) {
        repeat {
            context.budget.timers.charge(processNext(context))
        } while !isDone && context.budget.timers.hasSteps && !context.moves.isFull
    }

    /// Processes the next topic, segment or channel.
    ///
    /// - Returns: the number of steps.
    private mutating func processNext(_ context: BrokerContext) -> Int {
        guard let topic, !topic.isDeleted else { return beginNextTopic() }
        if let segment = segments.popLast() {
            if topic.segments.contains(segment) { process(segment, of: topic) }
            // One step for each channel, which is queried for the messages that it needs.
            return 1 + topic.channels.count
        }
        if let channel = channels.popLast() {
            channel.deliveries.releaseUnusedMemory()
            let expired = channel.expireHead(atMost: Self.maxExpiredInStep)
            if expired >= Self.maxExpiredInStep || context.moves.isFull {
                channels.insert(channel, at: 0)
            }
            return 1 + expired
        }
        return beginNextTopic()
    }

    private mutating func process(_ segment: Segment, of topic: Topic) {
        if segment.isSealed { topic.compact(segment) }
        if topic.isDurable { neededBytes += topic.neededBytes(of: segment) }
    }

    /// The maximum number of messages of a channel that expire before others are processed.
    private static let maxExpiredInStep = 4_096

    /// The number of steps for beginning a topic, without the step for each of its channels.
    private static let topicBaseCost = 4

    private mutating func beginNextTopic() -> Int {
        topic = topics.popLast()
        segments = []
        channels = []
        guard let topic, !topic.isDeleted else { return Self.topicBaseCost }
        topic.closeUnneededTails()
        segments = topic.segments.all.filter { topic.isDurable || $0.isSealed && $0.isResident }
            .reversed()
        channels = topic.channels
        return Self.topicBaseCost + topic.channels.count
    }
}
