import TestKit
import TestTraits
import Testing
import UVLoop

/// NSQ documentation, “TCP Protocol Spec”, IDENTIFY: `heartbeat_interval`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `A client that sends nothing` {
    /// The disconnect of the second client shows that the time has passed.
    @Test func `is disconnected after two heartbeats unless it disabled heartbeats`() async throws {
        let nsqd = try await HTTPProbe.start(clock: .manual)
        let patient = try RawClient(to: nsqd.tcpAddress)
        for interval in [1000, -1] {
            patient.tell("IDENTIFY", body: #"{"heartbeat_interval":\#(interval)}"#)
            #expect(patient.response() == "OK")
        }
        let other = try RawClient(to: nsqd.tcpAddress)
        other.tell("IDENTIFY", body: #"{"heartbeat_interval":1000}"#)
        #expect(other.response() == "OK")
        // The first heartbeat is due after one second, and the answer to it one second later.
        for _ in 1...3 { try await nsqd.advance(by: .seconds(1)) }
        let heartbeats = other.socket.receiveText()
        #expect(heartbeats.contains("_heartbeat_"))
        patient.tell("PUB plays", body: "play")
        #expect(patient.response() == "OK")
        await nsqd.stop()
    }
}
