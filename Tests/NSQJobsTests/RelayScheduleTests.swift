import NSQJobs
import TallyBasics
import Testing

@Suite struct `The schedule of the relay` {
    let now = JobTime(microseconds: 0)

    @Test func `sweeps at once after the start, and then at its interval`() {
        var schedule = newSchedule()
        #expect(schedule.delay(at: instant(0), now) == .zero)
        schedule.sweepEnded(SweepResult(), at: instant(0))
        #expect(schedule.delay(at: instant(0), now) == .seconds(1))
        #expect(schedule.delay(at: instant(5), now) == .zero)
    }

    @Test func `sweeps at once after a commit, and at the time of a due job`() {
        var schedule = newSchedule()
        schedule.sweepEnded(SweepResult(), at: instant(0))
        schedule.jobsStored(due: now + .milliseconds(300))
        #expect(schedule.delay(at: instant(0), now) == .milliseconds(300))
        schedule.jobsStored(due: now + .milliseconds(500))
        #expect(schedule.delay(at: instant(0), now) == .milliseconds(300))
        schedule.jobsStored(due: nil)
        #expect(schedule.delay(at: instant(0), now) == .zero)
    }

    @Test func `sweeps again for what is stored during a sweep`() {
        var schedule = newSchedule()
        schedule.sweepStarted()
        schedule.jobsStored(due: now + .milliseconds(300))
        schedule.sweepEnded(SweepResult(), at: instant(0))
        #expect(schedule.delay(at: instant(0), now) == .milliseconds(300))
        schedule.sweepStarted()
        schedule.jobsStored(due: nil)
        schedule.sweepEnded(SweepResult(), at: instant(0))
        #expect(schedule.delay(at: instant(0), now) == .zero)
        schedule.sweepStarted()
        schedule.sweepEnded(SweepResult(), at: instant(0))
        #expect(schedule.delay(at: instant(0), now) == .seconds(1))
    }

    @Test func `sweeps at once after failures when an nsqd can be reached again`() {
        var schedule = newSchedule()
        schedule.sweepFailed(at: instant(0))
        #expect(schedule.delay(at: instant(0), now) > .zero)
        schedule.connectionEstablished()
        #expect(schedule.delay(at: instant(0), now) == .zero)
        schedule.sweepEnded(SweepResult(), at: instant(0))
        schedule.sweepStarted()
        schedule.sweepEnded(SweepResult(), at: instant(0))
        schedule.connectionEstablished()
        #expect(schedule.delay(at: instant(0), now) == .seconds(1))
    }

    @Test func `sweeps again at once while there is more`() {
        var schedule = newSchedule()
        var result = SweepResult()
        result.hasMore = true
        schedule.sweepEnded(result, at: instant(0))
        #expect(schedule.delay(at: instant(0), now) == .zero)
    }

    @Test func `sweeps when workers have claimed a quarter of a full window`() {
        var schedule = newSchedule()
        schedule.sweepEnded(SweepResult(), at: instant(0))
        schedule.jobsClaimed(1_000)
        #expect(schedule.delay(at: instant(0), now) == .seconds(1))
        var result = SweepResult()
        result.isWindowFull = true
        schedule.sweepEnded(result, at: instant(0))
        schedule.jobsClaimed(24)
        #expect(schedule.delay(at: instant(0), now) == .seconds(1))
        schedule.jobsClaimed(1)
        #expect(schedule.delay(at: instant(0), now) == .zero)
    }

    @Test func `waits longer after each failure, whatever is stored meanwhile`() {
        var schedule = newSchedule()
        var previous = Duration.zero
        for _ in 0..<10 {
            let delay = schedule.sweepFailed(at: instant(0))
            #expect(delay <= .seconds(5) && delay >= min(previous, .milliseconds(2500)))
            schedule.jobsStored(due: nil)
            schedule.jobsStored(due: now)
            schedule.jobsClaimed(1_000)
            #expect(schedule.delay(at: instant(0), now).nanoseconds == delay.nanoseconds)
            previous = delay
        }
        schedule.sweepEnded(SweepResult(), at: instant(0))
        #expect(schedule.sweepFailed(at: instant(0)) <= .milliseconds(100))
    }

    private func newSchedule() -> RelaySchedule {
        RelaySchedule(interval: .seconds(1), window: 100, seed: 7)
    }
}

@Suite struct `A message of the relay` {
    @Test func `names a job, its version and its type`() {
        let message = JobMessage(JobReference(id: JobID(7), version: 3), name: "Send \"x\"")
        #expect(
            String(decoding: message.body, as: UTF8.self)
                == #"{"id":7,"version":3,"name":"Send \"x\""}"#)
        #expect(JobMessage(parsing: message.body) == message)
    }

    @Test(arguments: [
        "", "{", "[]", "null", "7", #"{"id":7}"#, #"{"version":7}"#, #"{"id":0,"version":1}"#,
        #"{"id":"7","version":1}"#, #"{"id":7,"version":-1}"#, #"{"id":7.5,"version":1}"#,
        #"{"id":99999999999999999999,"version":1}"#,
    ])
    func `is refused if it is malformed`(_ text: String) {
        #expect(JobMessage(parsing: text.utf8) == nil)
    }

    @Test func `may have further members`() {
        let text = #"{"x":[1],"version":2,"id":5}"#
        #expect(JobMessage(parsing: text.utf8)?.reference == JobReference(id: JobID(5), version: 2))
    }

    @Test func `has a topic that NSQ allows, for the longest name of a queue`() {
        for priority in JobPriority.allCases {
            let name = JobTopic(queue: String(repeating: "q", count: 40), priority: priority).name
            #expect(name.utf8.count <= 64 && name.hasSuffix(".\(priority)"))
        }
    }
}
