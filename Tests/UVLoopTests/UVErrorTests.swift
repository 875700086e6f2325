import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A libuv error` {
    @Test func `has a message and a symbol`() {
        let error = UVError.addressInUse
        #expect(error.name == "EADDRINUSE")
        #expect(error.message == "address already in use")
        #expect("\(error)" == "address already in use (EADDRINUSE)")
    }

    @Test func `has a text for an unknown code`() {
        #expect("\(UVError(code: -99_999))".contains("-99999"))
    }
}
