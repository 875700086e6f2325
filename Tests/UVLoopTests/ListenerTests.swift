import Testing
import UVLoop

@Suite struct `A listener` {
    @Test func `knows the port the kernel chose`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            #expect(listener.address.host == "127.0.0.1")
            #expect(listener.address.port > 0)
            listener.close()
        }
    }

    @Test func `refuses an address in use`() throws {
        try onLoop { loop in
            let first = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            #expect(throws: UVError.addressInUse) {
                try Listener(on: loop, host: "127.0.0.1", port: first.address.port) { _ in }
            }
            first.close()
        }
    }

    @Test func `listens by name`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "localhost", port: 0) { _ in }
            #expect(listener.address.port > 0)
            listener.close()
        }
    }
}
