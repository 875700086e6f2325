import Glibc
import UVLoop

/// Provides the messages of a file to a producer that runs on a loop. A separate thread reads the
/// file, because reading from an empty pipe would block the loop.
///
/// At most one chunk is in memory that was not split into lines yet.
package final class PlayFileReader {
    private var file: PlayFile
    private let thread: LoopThread
    private let interruption: ReadInterruption
    private let loop: Loop
    private var isReading = false
    private var isStopped = false
    private var failure: PlayFileError?

    /// Called on the loop after ``next()`` has returned `nil`, when it may return a message again.
    package var onReady: () -> Void = {}

    /// Whether ``next()`` will return no further message.
    package private(set) var hasEnded = false
    /// Whether the end of the file was read.
    package var isAtEnd: Bool { file.isAtEnd }
    /// The number of bytes of an incomplete line, after the reader was stopped.
    package var incompleteBytes: Int { file.pendingBytes }

    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    package init(_ file: consuming PlayFile, on loop: Loop) throws(UVError) {
        self.file = file
        self.loop = loop
        interruption = try ReadInterruption()
        thread = try LoopThread(name: "play reader")
    }

    /// Returns the next message; `nil` at the end of the file, or if no complete line has been read
    /// yet.
    package func next() throws(PlayFileError) -> [UInt8]? {
        if let line = try file.nextBuffered() { return line }
        if let failure { throw failure }
        if file.isAtEnd || isStopped && !isReading {
            hasEnded = true
        } else if !isReading {
            startReading()
        }
        return nil
    }

    /// Stops reading the file. Complete lines that were already read are still returned.
    package func stop() {
        isStopped = true
        interruption.interrupt()
    }

    private func startReading() {
        isReading = true
        let reader = LoopBound(self, on: loop)
        let (chunks, interruption, mailbox) = (file.chunks, interruption, loop.mailbox)
        thread.mailbox.submit { _ in
            let result: Result<[UInt8]?, PlayFileError>
            do throws(PlayFileError) {
                result = .success(
                    interruption.waitForInput(of: chunks.descriptor) ? try chunks.read() : nil)
            } catch {
                result = .failure(error)
            }
            mailbox.submit { reader.removeValue(on: $0)?.didRead(result) }
        }
    }

    /// - Parameter result: the chunk, or `nil` if the reader was stopped during the wait.
    private func didRead(_ result: Result<[UInt8]?, PlayFileError>) {
        isReading = false
        switch result {
        case .success(let chunk?): file.append(chunk)
        case .success(nil): break
        case .failure(let error): failure = error
        }
        onReady()
    }
}

/// A pipe with which another thread ends a wait for input. Input that arrives after the
/// interruption stays unread.
private final class ReadInterruption: Sendable {
    private let readEnd: Int32
    private let writeEnd: Int32

    init() throws(UVError) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw UVError(code: -errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    func interrupt() {
        var byte: UInt8 = 0
        // The pipe is empty, so the write neither blocks nor fails.
        _ = write(writeEnd, &byte, 1)
    }

    /// Blocks until a read of the file would return immediately, or until an interruption.
    ///
    /// - Returns: `false` after an interruption.
    func waitForInput(of descriptor: Int32) -> Bool {
        var files = [
            pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&files, 2, -1) < 0, errno == EINTR {}
        return files[0].revents == 0
    }
}
