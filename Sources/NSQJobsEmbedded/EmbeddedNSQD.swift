import NSQBroker
import NSQJobs

extension Jobs.NSQD {
    /// A broker in this process, with a free port of 127.0.0.1 and without disk. The store keeps all
    /// jobs except fleeting ones, so only those are lost when the process ends.
    public static var embedded: Self { embedded(EmbeddedBroker.Configuration()) }

    /// A broker in this process.
    ///
    /// - Parameter configuration: the settings of the broker, for example a fixed address for workers in
    ///   other processes.
    public static func embedded(_ configuration: EmbeddedBroker.Configuration) -> Self {
        Self { () throws(JobsError) in
            do throws(EmbeddedBroker.StartError) {
                let broker = try await EmbeddedBroker.start(configuration)
                return Running(
                    address: broker.tcpAddress, startsEmpty: configuration.dataPath == nil
                ) { await broker.stop() }
            } catch {
                throw JobsError(.brokerFailed, "cannot start the embedded broker: \(error)")
            }
        }
    }
}
