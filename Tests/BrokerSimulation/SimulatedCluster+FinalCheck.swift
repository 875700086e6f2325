import BrokerCore
import NSQWire

/// The end of a simulation: without further faults, all expected messages must be delivered.
extension SimulatedCluster {
    func finish() {
        disk.faults = SimulatedDisk.Faults()
        disk.callsUntilCrash = nil
        runIteration {
            for client in clients { disconnect(client) }
            resumeAll()
        }
        drain()
        guard failure == nil else { return }
        if let undelivered = checker.undelivered.first {
            for undelivered in checker.undelivered { trace("lost: \(undelivered)") }
            return fail("\(checker.undelivered.count) messages were lost, first \(undelivered)")
        }
        expectNoRedelivery()
    }

    /// Unpauses all topics and channels, and connects a consumer to each channel.
    private func resumeAll() {
        for topic in broker.statistics(at: now).topics {
            _ = broker.pauseTopic(topic.name, false, at: now)
            checker.pause(topic.name, false)
            if topic.channels.isEmpty {
                _ = broker.createChannel(Self.channels[0], of: topic.name, at: now)
                checker.create(Self.channels[0], of: topic.name)
            }
            for channel in topic.channels {
                _ = broker.pauseChannel(channel.name, of: topic.name, false, at: now)
                checker.pause(channel.name, of: topic.name, false)
            }
        }
        connectConsumers()
    }

    /// Connects a consumer to each channel that has none.
    private func connectConsumers() {
        for topic in broker.statistics(at: now).topics {
            for channel in topic.channels where channel.clients.isEmpty {
                let client = connect(.consumer(topic.name, channel.name))
                client.send(.ready(count: 100), .ready(100))
                transmit(client)
            }
        }
    }

    private func drain() {
        for _ in 0..<200 where failure == nil {
            runIteration {
                // Messages may fail meanwhile, and create failed sets.
                connectConsumers()
                for client in clients {
                    for number in client.held.keys.sorted() {
                        client.send(.finish(client.held[number]!.id), .finish(number))
                    }
                    transmit(client)
                }
            }
            advanceTime(by: 250_000_000)
            if isQuiet { return }
        }
        if failure == nil { fail("messages are left: \(broker.statistics(at: now).topics)") }
    }

    private var isQuiet: Bool {
        broker.unfinishedCount == 0 && clients.allSatisfy(\.held.isEmpty)
    }

    /// Checks that no finished message is redelivered after a restart.
    private func expectNoRedelivery() {
        settleAllUncertain()
        restart(after: .kill)
        runIteration { resumeAll() }
        advanceTime(by: 1_000_000_000)
    }
}
