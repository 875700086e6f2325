import Testing
import UVLoop

@Suite struct `An error of libuv` {
    @Test func `says what happened in words and by its symbol`() {
        let error = UVError.addressInUse
        #expect(error.name == "EADDRINUSE")
        #expect(error.message == "address already in use")
        #expect("\(error)" == "address already in use (EADDRINUSE)")
    }

    @Test func `has a text for a code nobody knows`() {
        #expect("\(UVError(code: -99_999))".contains("-99999"))
    }
}
