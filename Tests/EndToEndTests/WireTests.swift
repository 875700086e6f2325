import Foundation
import TestKit
import Testing

/// Each conversation of `Fixtures/wire` once more, over sockets and with a daemon of its own: the
/// built binary, or the nsqd that `NSQD_PROGRAM` names, which shows that they say what nsqd does.
@Suite(.timeLimit(.minutes(5))) struct `What nsqd recorded` {
    @Test(arguments: try Recording.all)
    func `is what the daemon says`(recording: WireConversation) throws {
        let server = try recording.authServerAnswer.map { try AnsweringServer($0) }
        let nsqd = try Recording.start(recording, auth: server)
        try WirePlayer(recording, at: nsqd.tcpAddress).play()
        #expect(nsqd.stop())
    }

    @Test func `is played`() throws {
        #expect(try Recording.all.count > 125)
    }
}

private enum Recording {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/wire")

    static let certificates = Result { try TestCertificates() }

    static var all: [WireConversation] {
        get throws { try WireConversation.all(in: folder) }
    }

    static func start(
        _ recording: WireConversation, auth: AnsweringServer?
    ) throws -> RunningNSQD {
        var flags: [String] = []
        for flag in recording.flags {
            let identity = try certificates.get().server
            flags.append(
                flag.replacingOccurrences(of: "PRIVATE-KEY", with: identity.key)
                    .replacingOccurrences(of: "CERTIFICATE", with: identity.certificate))
        }
        if flags.contains(where: { $0.hasPrefix("--tls-cert") }) {
            flags.append("--https-address=127.0.0.1:0")
        }
        flags += (auth.map { ["--auth-http-address=\($0.address)"] }) ?? []
        return try RunningNSQD(flags)
    }
}
