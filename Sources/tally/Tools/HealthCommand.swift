import ArgumentParser
import NSQTools

/// `tally health`: requests the health of a server. Containers can use it for health checks without
/// another program such as curl.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Asks a running server for its health; exits with 0 only if it is healthy.",
        discussion: """
            Healthy means ready: a broker can store messages, a processor counts. With --live, it only \
            means that the server answers; restart it if it does not. The servers are those of tally \
            nsqd, nsqlookupd, nsqadmin, serve, process and jobs serve.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --http-address=127.0.0.1:4151 --memory-only & sleep 1
                    tally health
                    tally health 127.0.0.1:4151 --live
                    kill $!
                    """#))

    @Argument(help: "The HTTP address of the server, as HOST:PORT or URL.")
    var address = NSQDOptions.defaultHTTPAddress

    @Flag(help: "Only check that the server answers.")
    var live = false

    @Option(durationHelp: "The maximum time until the answer.")
    var timeout = GoDuration(argument: "5s")!

    func validate() throws {
        try require("--timeout", timeout, atLeast: "1ms")
    }

    func run() async throws {
        let failure: NSQDQueries.Failure?
        do throws(NSQDQueries.Failure) {
            let client = try NSQDQueries(
                connectTimeout: timeout.duration, requestTimeout: timeout.duration)
            do throws(NSQDQueries.Failure) {
                print(try await client.health(of: address, path: live ? "/livez" : "/readyz"))
                failure = nil
            } catch {
                failure = error
            }
            await client.stop()
        } catch {
            failure = error
        }
        if let failure { throw UsageError(failure.description) }
    }
}
