import Foundation
import TestKit
import TestTraits
import Testing

/// Repeats each conversation of `Fixtures/wire` over sockets, with our broker or the nsqd of
/// `NSQD_PROGRAM`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `A conversation recorded with nsqd` {
    @Test(arguments: try Recording.all)
    func `is repeated by the daemon byte for byte`(recording: WireConversation) throws {
        let server = try recording.authServerAnswer.map { try FixedResponseServer($0) }
        let nsqd = try Recording.start(recording, auth: server)
        // If the machine stalls meanwhile, a conversation in which time passes can go differently, so
        // it has several attempts. The tests of the broker core replay it with a manual clock.
        let attempts = recording.steps.contains { $0.action.isWait } ? 20 : 1
        var differences = [""]
        for _ in 1...attempts where !differences.isEmpty {
            differences = try WirePlayer(recording, at: nsqd.tcpAddress).play()
        }
        #expect(differences == [])
        #expect(nsqd.stop())
    }

    @Test func `exists for every recording`() throws {
        #expect(try Recording.all.count > 125)
    }
}

extension WireConversation.Action {
    fileprivate var isWait: Bool { if case .wait = self { true } else { false } }
}

private enum Recording {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/wire")

    static let certificates = Result { try TestCertificates() }

    static var all: [WireConversation] {
        get throws { try WireConversation.all(in: folder) }
    }

    static func start(
        _ recording: WireConversation, auth: FixedResponseServer?
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
