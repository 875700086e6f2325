import TestKit
import Testing

extension Trait where Self == ConditionTrait {
    /// For what ours does and nsqd does not, or does otherwise; `nsqd` is what nsqd does.
    static func ours(_ nsqd: Comment) -> Self {
        .disabled(if: RunningNSQD.isForeign, nsqd)
    }
}
