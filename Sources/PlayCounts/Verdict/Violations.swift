/// The number of violations of a rule, and a description of the first one.
struct Violations {
    private var count = 0
    private var first: String?

    mutating func record(_ violation: @autoclosure () -> String) {
        count += 1
        if first == nil { first = violation() }
    }

    /// - Parameter passing: the detail of the rule if there are no violations.
    func rule(_ rule: String, passing: String = "no violations") -> Verdict.Rule {
        let detail = first.map { count == 1 ? $0 : "\($0), and \(count - 1) more" }
        return Verdict.Rule(rule: rule, holds: count == 0, detail: detail ?? passing)
    }
}
