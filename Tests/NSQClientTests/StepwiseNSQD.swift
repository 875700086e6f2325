import NSQWire

extension FakeNSQD {
    /// Runs `steps` one after the other, the first after the command `start`.
    ///
    /// After each step the nsqd sends a heartbeat, and its answer `NOP` begins the next step. So each
    /// step sees all commands that the step before has caused.
    ///
    /// - Parameters:
    ///   - start: the command before the first step. It gets no response.
    ///   - withoutResponse: `true` if further commands like `start` get no response either.
    func run(
        _ steps: [(FakeConnection) -> Void], after start: Command, withoutResponse: Bool = false
    ) {
        var rest = steps[...]
        var hasStarted = false
        script = { connection, command, _ in
            guard command == (hasStarted ? .nop : start) else {
                return withoutResponse && command == start
            }
            hasStarted = true
            guard let step = rest.popFirst() else { return false }
            step(connection)
            connection.heartbeat()
            return true
        }
    }
}

extension FakeConnection {
    /// The RDY count that was received last.
    var lastReady: Int? {
        for case .ready(let count) in commands.reversed() { return count }
        return nil
    }

    /// The number of received PUB commands.
    var publishCount: Int { commands.count { $0 == .publish(plays) } }
}
