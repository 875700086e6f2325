import ArgumentParser
import HTTP
import NSQClient

/// The address of an nsqlookupd or of an nsqd's HTTP API, with or without a scheme and a path.
struct HTTPAddress: ExpressibleByArgument {
    let url: HTTPURL

    init?(argument: String) {
        guard let url = try? HTTPURL(lookupd: argument) else { return nil }
        self.url = url
    }
}
