import BrokerCore
import NSQWire

/// The end of a world: all goes well again, and everything that was promised arrives.
extension World {
    func finish() {
        disk.troubles = SimulatedDisk.Troubles()
        disk.callsToLive = nil
        takeTurn {
            for client in clients { cut(client) }
            goOn()
        }
        drain()
        guard failure == nil else { return }
        if let owed = promises.owed.first {
            for owed in promises.owed { note("lost: \(owed)") }
            return fail("\(promises.owed.count) were lost, the first of them \(owed)")
        }
        expectNothingComesAgain()
    }

    /// Unpauses all, and gives each channel a consumer.
    private func goOn() {
        for topic in broker.statistics(at: now).topics {
            _ = broker.pauseTopic(topic.name, false, at: now)
            promises.pause(topic.name, false)
            if topic.channels.isEmpty {
                _ = broker.createChannel(Self.channels[0], of: topic.name, at: now)
                promises.create(Self.channels[0], of: topic.name)
            }
            for channel in topic.channels {
                _ = broker.pauseChannel(channel.name, of: topic.name, false, at: now)
                promises.pause(channel.name, of: topic.name, false)
            }
        }
        for topic in broker.statistics(at: now).topics {
            for channel in topic.channels {
                let client = connect(.consumer(topic.name, channel.name))
                client.say(.ready(count: 100), .ready(100))
                arrive(client)
            }
        }
    }

    private func drain() {
        for _ in 0..<200 where failure == nil {
            takeTurn {
                for client in clients {
                    for number in client.held.keys.sorted() {
                        client.say(.finish(client.held[number]!.id), .finish(number))
                    }
                    arrive(client)
                }
            }
            pass(250_000_000)
            if isQuiet { return }
        }
        if failure == nil { fail("messages are left: \(broker.statistics(at: now).topics)") }
    }

    private var isQuiet: Bool {
        broker.backlog == 0 && clients.allSatisfy(\.held.isEmpty)
    }

    /// All is finished and written: nothing of it comes after a restart.
    private func expectNothingComesAgain() {
        leaveUncertain()
        restart(after: .kill)
        takeTurn { goOn() }
        pass(1_000_000_000)
    }
}
