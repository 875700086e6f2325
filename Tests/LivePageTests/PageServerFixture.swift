import HTTP
import PlayCounts
import TallyBasics
import UVLoop

@testable import LivePage

/// A page's server without sockets and without a thread, on a clock that the test advances.
final class PageServerFixture {
    let loop: Loop
    let server: PageServer
    private let updates: Updates
    private var calls: Calls

    private final class Updates {
        var queue: UpdateQueue

        init(of settings: PageSettings) { queue = UpdateQueue(of: settings) }
    }

    init(videosPerCall: Int = 20, _ change: (inout PageSettings) -> Void = { _ in }) throws {
        var settings = PageSettings()
        settings.source = "a test"
        settings.videosPerCall = videosPerCall
        // Each update is sent at once.
        settings.minUpdateInterval = .zero
        change(&settings)
        let updates = Updates(of: settings)
        let loop = try Loop(clock: .manual)
        self.loop = loop
        self.updates = updates
        calls = Calls(videosPerCall: videosPerCall)
        server = PageServer(settings, totals: [], on: loop) { updates.queue.removeUpdate() }
    }

    deinit {
        server.stop {}
        loop.close()
    }

    /// Adds one play of each video, and applies the calls to the page at once.
    func play(_ videos: some Sequence<Int>) {
        enqueue(videos)
        update()
    }

    /// Adds one play of each video to the next update.
    func enqueue(_ videos: some Sequence<Int>) {
        for call in calls.play(videos, at: loop.instant) {
            updates.queue.append(call, at: loop.instant)
        }
    }

    /// Applies the updates that wait in the queue.
    func update() {
        server.scheduleUpdate()
        // The timer of an update without a delay fires in the first or second iteration.
        loop.runInNextIteration { [loop] in
            loop.runInNextIteration { [loop] in loop.runInNextIteration { loop.stop() } }
        }
        loop.run()
    }

    func commit(_ changes: [CountChange], counted: Int) {
        updates.queue.append(changes, at: loop.instant, counted: counted)
        update()
    }

    /// Returns the pieces that wait for a browser, as events.
    ///
    /// - Parameter limit: the number of pieces after which the method stops.
    func read(_ browser: EventSubscriber, atMost limit: Int = 20) -> [EventReader.Event] {
        var text = ""
        for _ in 0..<limit {
            guard let piece = server.events.nextPiece(for: browser) else { break }
            text += String(decoding: piece.bytes, as: UTF8.self)
        }
        return text.split(separator: "\n\n").map { EventReader.event(String($0)) }
    }
}
