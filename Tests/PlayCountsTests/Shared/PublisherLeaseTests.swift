import TallyBasics
import Testing

@testable import PlayCounts

@Suite struct `The lease of a client` {
    private let settings = PublisherLease.Settings()

    private func at(_ seconds: Double) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 1_000_000_000_000) + .seconds(seconds)
    }

    /// A lease that was acquired at second 0.
    private func held(takenOver: Bool = false) -> PublisherLease {
        var lease = PublisherLease(settings, at: at(0))
        #expect(lease.nextRequest(at: at(0)) == .acquire(deadRenewals: nil))
        lease.acquired(epoch: 4, wasTakenOver: takenOver, requestedAt: at(0), at: at(0.1))
        return lease
    }

    @Test func `allows calls at once if the former holder has released it`() {
        let lease = held()
        #expect(lease.heldEpoch(at: at(0.1)) == 4)
        #expect(lease.mayCall(at: at(0.1)))
    }

    @Test func `allows no call until the calls of a former holder have ended`() {
        let lease = held(takenOver: true)
        #expect(!lease.mayCall(at: at(3)))
        #expect(lease.mayCall(at: at(3.2)))
    }

    @Test func `allows no call that may end after it`() {
        let lease = held()
        #expect(lease.mayCall(at: at(6)))
        #expect(!lease.mayCall(at: at(6.1)))
        #expect(lease.heldEpoch(at: at(8.9)) == 4)
        #expect(lease.heldEpoch(at: at(9)) == nil)
    }

    @Test func `is renewed after a third of its duration`() {
        var lease = held()
        #expect(lease.nextRequest(at: at(2.9)) == nil)
        #expect(lease.nextDeadline == at(3))
        #expect(lease.nextRequest(at: at(3)) == .renew(epoch: 4))
        #expect(lease.nextRequest(at: at(3)) == nil)
        lease.renewed(requestedAt: at(3))
        #expect(lease.heldEpoch(at: at(11.9)) == 4)
        #expect(lease.nextDeadline == at(6))
    }

    @Test func `is given up if it cannot be renewed`() {
        var lease = held()
        _ = lease.nextRequest(at: at(3))
        lease.failed(at: at(4), retryAfter: .seconds(1))
        #expect(lease.nextRequest(at: at(5)) == .renew(epoch: 4))
        #expect(lease.nextRequest(at: at(9)) == nil)
        #expect(lease.heldEpoch(at: at(9)) == nil)
        lease.failed(at: at(9.5), retryAfter: .seconds(1))
        #expect(lease.nextRequest(at: at(10.5)) == .acquire(deadRenewals: nil))
    }

    @Test func `is lost when another process has acquired it`() {
        var lease = held()
        _ = lease.nextRequest(at: at(3))
        lease.lost(at: at(3.1))
        #expect(lease.heldEpoch(at: at(3.1)) == nil)
        #expect(!lease.mayCall(at: at(3.1)))
    }

    @Test func `waits for former calls if the response to an acquisition was lost`() {
        var lease = PublisherLease(settings, at: at(0))
        _ = lease.nextRequest(at: at(0))
        lease.failed(at: at(1), retryAfter: .seconds(1))
        _ = lease.nextRequest(at: at(2))
        // The store reports that the lease belongs to this process already.
        lease.acquired(epoch: 5, wasTakenOver: false, requestedAt: at(2), at: at(2))
        #expect(!lease.mayCall(at: at(4.9)))
        #expect(lease.mayCall(at: at(5)))
    }

    @Test func `is taken from a holder that has not renewed it, whatever the server's clock says`()
    {
        var lease = PublisherLease(settings, at: at(0))
        for second in [0, 3, 6, 9] as [Double] {
            #expect(lease.nextRequest(at: at(second)) == .acquire(deadRenewals: nil))
            lease.refused(renewals: 7, at: at(second))
        }
        #expect(lease.nextRequest(at: at(12)) == .acquire(deadRenewals: 7))
        // The holder is alive.
        lease.refused(renewals: 8, at: at(12))
        #expect(lease.nextRequest(at: at(15)) == .acquire(deadRenewals: nil))
    }
}
