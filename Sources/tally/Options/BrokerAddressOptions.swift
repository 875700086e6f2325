import ArgumentParser
import NSQTools

/// The nsqd of a command that only a broker of this package supports.
struct BrokerAddressOptions: ParsableArguments {
    @Option(help: "The HTTP address of the nsqd.")
    var nsqdHttpAddress = NSQDOptions.defaultHTTPAddress

    /// Calls `body` with a client. Turns an error of the client into a `UsageError`.
    func ask<Value>(
        _ body: (NSQDQueries) async throws -> Value
    ) async throws -> Value {
        do {
            let client = try NSQDQueries(connectTimeout: .seconds(2), requestTimeout: .seconds(30))
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(client))
            } catch {
                result = .failure(error)
            }
            await client.stop()
            return try result.get()
        } catch let failure as NSQDQueries.Failure {
            throw UsageError(failure.description)
        }
    }
}
