import Foundation
import PlayCounts
import TallyBasics
import TestTraits
import Testing

@Suite(.blocking) struct `The standard output sink` {
    let pipe = Pipe()

    @Test func `is one line of JSON`() throws {
        let sink = StdoutSink(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        var answers = 0
        sink.send(call(of: 2)) { answers += (try? $0.get()) == nil ? 0 : 1 }
        #expect(answers == 1)
        let line = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
        #expect(
            line == """
                {"videos":[{"video_id":"\(video(0))","play_count":99},\
                {"video_id":"\(video(1))","play_count":1099}]}\n
                """)
    }

    @Test func `fails a call without blocking if the reader stalls`() throws {
        let sink = StdoutSink(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        var accepted = 0
        var failure: SinkError?
        while failure == nil {
            sink.send(call(of: 20)) { answer in
                switch answer {
                case .success: accepted += 1
                case .failure(let error): failure = error
                }
            }
        }
        #expect(failure == .busy)
        try pipe.fileHandleForWriting.close()
        let read = pipe.fileHandleForReading.readDataToEndOfFile()
        #expect(read.last == UInt8(ascii: "\n"))
        #expect(read.count { $0 == UInt8(ascii: "\n") } == accepted)
    }

    @Test func `writes less than a pipe accepts at once`() {
        var bytes: [UInt8] = []
        call(of: 20, count: .max).appendJSON(to: &bytes)
        #expect(bytes.count < 4096)
    }

    private func call(of videos: Int, count: Int = 99) -> Call {
        var scheduler = CallScheduler()
        scheduler.enqueue(
            (0..<videos).map { index in
                change(
                    index, count: count == .max ? .max : count + 1000 * index,
                    at: .nanoseconds(index), immediate: true)
            })
        return scheduler.startDueCalls(at: .start + .seconds(1))[0]
    }
}
