import TestKit
import Testing

extension Trait where Self == ConditionTrait {
    /// Skips a test of behaviour that nsqd does not have; `nsqd` describes nsqd's behaviour.
    static func ours(_ nsqd: Comment) -> Self {
        .disabled(if: RunningNSQD.isForeign, nsqd)
    }
}
