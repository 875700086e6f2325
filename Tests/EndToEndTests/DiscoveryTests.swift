import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A processor with an nsqlookupd` {
    @Test func `counts the plays of every nsqd that it reports`() throws {
        let brokers = try [BuiltProcess.broker(), BuiltProcess.broker()]
        let producers = brokers.map { broker in
            let port = broker.address.split(separator: ":").last!
            return #"{"broadcast_address":"127.0.0.1","tcp_port":\#(port)}"#
        }
        let lookupd = try AnsweringServer(
            #"{"channels":[],"producers":[\#(producers.joined(separator: ","))]}"#)
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let processor = try BuiltProcess([
            "process", "--lookupd-http-address=\(lookupd.address)", "--store=\(store)",
        ])
        for (_, address) in brokers {
            let producer = try BuiltProcess([
                "produce", "--nsqd-tcp-address=\(address)", "--plays=500",
            ])
            #expect(producer.status() == 0)
        }
        #expect(try eventually { try counted(in: store).plays == 1_000 })
        processor.send(SIGTERM)
        #expect(processor.status() == 0, "\(processor.lines(of: .standardError))")
        for (process, _) in brokers {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }
}
