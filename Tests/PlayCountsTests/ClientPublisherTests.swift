import Logging
import TallyBasics
import TestTraits
import Testing
import UVLoop

@testable import PlayCounts

/// The delays between the attempts to call a client, on a clock that advances by 5 ms in each iteration.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `The delay before another call to a client` {
    /// The first delay is 100 ms, less a random part of up to a half.
    private let short = Duration.milliseconds(150)

    /// Publishes to a client that refuses all calls at first, and returns the times of its refusals.
    ///
    /// - Parameters:
    ///   - videos: the number of calls in each round.
    ///   - body: runs after each refusal and each accepted call.
    private func refusals(
        videos: Int = 1, _ body: @escaping (Loop, FakeClient, ClientPublisher) -> Void
    ) throws -> [MonotonicInstant] {
        var refusals: [MonotonicInstant] = []
        try onLoop(clock: .manual) { loop in
            let client = FakeClient(on: loop)
            client.behavior = .refuses
            var settings = PlayProcessor.Settings()
            settings.scheduler.videosPerCall = 1
            settings.minRetryDelay = .milliseconds(100)
            settings.maxRetryDelay = .seconds(3600)
            var logger = Logger(label: "publisher")
            logger.logLevel = .critical
            let publisher = ClientPublisher(
                to: Client("test", sink: client), number: nil, unpublished: [], on: loop,
                settings: settings, jitterSeed: 7, logger: logger)
            client.onRefusal = { body(loop, client, publisher) }
            publisher.onAccepted = { _ in body(loop, client, publisher) }
            loop.onIterationEnd = { [weak loop] in
                refusals = client.refusals
                withExtendedLifetime(publisher) {}
                loop?.runInNextIteration { loop?.advance(by: .milliseconds(5)) }
            }
            publisher.publish((1...videos).map { self.change($0, 1, loop) })
        }
        return refusals
    }

    private func change(_ number: Int, _ count: Int, _ loop: Loop) -> CountChange {
        CountChange(
            videoID: video(number), count: count, arrival: loop.instant, isImmediate: true)
    }

    @Test func `is short again after the client has accepted one`() throws {
        let times = try refusals { loop, client, publisher in
            switch client.refusals.count {
            case 7 where client.behavior == .refuses: client.behavior = .accepts
            case 7:
                client.behavior = .refuses
                loop.runInNextIteration { publisher.publish([self.change(1, 2, loop)]) }
            case 9: loop.stop()
            default: break
            }
        }
        try #require(times.count == 9)
        #expect(times[6] - times[5] > .seconds(1))
        #expect(times[8] - times[7] < short)
    }

    @Test func `is short again after it was ended before a stop`() throws {
        let times = try refusals { loop, client, publisher in
            switch client.refusals.count {
            case 7: loop.runInNextIteration { publisher.endRetryPause() }
            case 9: loop.stop()
            default: break
            }
        }
        try #require(times.count == 9)
        #expect(times[7] - times[6] < short)
        #expect(times[8] - times[7] < short)
    }

    @Test func `doubles once for all calls that fail together`() throws {
        let times = try refusals(videos: 5) { loop, client, _ in
            if client.refusals.count == 7 { loop.stop() }
        }
        try #require(times.count == 7)
        #expect(Set(times[..<5]).count == 1)
        // After the first refusals, the publisher tries one call at a time.
        #expect(times[5] - times[0] < short)
        #expect(times[6] - times[5] < short * 2)
    }
}
