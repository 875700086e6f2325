import ArgumentParser
import HTTP
import NSQClient
import UVLoop

/// The options that select the nsqds to which a command publishes plays.
struct PlayDestinationOptions: ParsableArguments {
    @Option(
        name: .customLong("nsqd-tcp-address"),
        help: """
            Publish to this nsqd, HOST:PORT; repeatable. Plays are published to several nsqds in \
            turn, and one of them may restart meanwhile.
            """)
    var addresses: [SocketAddress] = []

    @Option(
        name: .customLong("lookupd-http-address"),
        help: """
            Publish to all nsqds that are registered at this nsqlookupd at the start, HOST:PORT; \
            repeatable.
            """)
    var lookupds: [HTTPAddress] = []

    /// `true` if no option is given.
    var isEmpty: Bool { addresses.isEmpty && lookupds.isEmpty }

    func validate() throws {
        guard Set(addresses.map(\.description)).count == addresses.count else {
            throw ValidationError("the same --nsqd-tcp-address is given twice")
        }
    }

    /// Returns the given nsqds, and those that the nsqlookupds report. The result is not empty.
    ///
    /// - Throws: `UsageError` if there is no nsqd, or if an nsqlookupd cannot be reached.
    func resolve() async throws -> [SocketAddress] {
        let reported: [SocketAddress]
        do throws(NSQError) {
            reported = try await RegisteredNSQDs.request(at: lookupds.map(\.url))
        } catch {
            throw UsageError(connecting: error)
        }
        let all = addresses + reported.filter { !addresses.contains($0) }
        guard !all.isEmpty else {
            let names = lookupds.map(\.url.address.description).joined(separator: ", ")
            throw UsageError("no nsqd is registered at nsqlookupd \(names)")
        }
        return all
    }
}
