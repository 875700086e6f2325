import Testing

@testable import tally

@Suite struct `The time that a service manager waits for reports` {
    private func timeout(_ variables: [String: String]) -> Duration? {
        ServiceManager(environment: { variables[$0] }, processID: 42).watchdogTimeout
    }

    @Test func `comes from the environment`() {
        #expect(timeout(["NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "30000000"]) == .seconds(30))
        #expect(
            timeout(["NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "42"])
                == .microseconds(5))
    }

    @Test(arguments: ["", "x", "0", "-1", "9223372036854775807", "99999999999999999999"])
    func `is none for a number without meaning`(number: String) {
        #expect(timeout(["NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": number]) == nil)
    }

    @Test func `is none without a socket, and for another process`() {
        #expect(timeout(["WATCHDOG_USEC": "5"]) == nil)
        #expect(timeout(["NOTIFY_SOCKET": "", "WATCHDOG_USEC": "5"]) == nil)
        #expect(
            timeout(["NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"]) == nil)
    }
}
