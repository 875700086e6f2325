import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A reserved port` {
    @Test func `can be listened on repeatedly, and is given to nobody else`() throws {
        let reservation = try #require(PortReservation())
        for _ in 1...2 {
            let loop = try Loop()
            let listener = try Listener(on: loop, host: "127.0.0.1", port: reservation.port) {
                $0.close()
            }
            listener.close()
            loop.run()
            loop.close()
        }
        let others = (1...100).compactMap { _ in PortReservation() }
        #expect(others.count == 100 && !others.contains { $0.port == reservation.port })
    }
}
