import CProcess
import Foundation
import Glibc
import UVLoop

/// Runs a program once, on a thread of its own.
///
/// The thread starts the program and waits for its end. It ends the program's process group when a
/// limit is exceeded or the run is cancelled. If this process ends, the program is ended too; see
/// `CProcess`.
enum ProgramRun {
    /// Runs a program, and waits for its end. If the task is cancelled, the program's process group
    /// gets SIGTERM, and after ``JobProgram/Limits/killDelay`` SIGKILL.
    ///
    /// - Parameters:
    ///   - input: the bytes that the program reads from standard input.
    ///   - environment: the environment as `NAME=value`.
    static func run(
        _ program: JobProgram, input: [UInt8], environment: [String]
    ) async -> ProgramEnd {
        do throws(UVError) {
            let file = try RunDescriptor.memory(input)
            let streams = LockedValue<ProgramSupervisor.Streams?>(
                .init(input: file, output: nil))
            return await run(program, streams, environment: environment)
        } catch {
            return ProgramEnd(reason: .notStarted(errno: -error.code), errorText: "")
        }
    }

    /// Runs a program with streams that the caller has opened.
    ///
    /// - Parameter streams: the standard streams of the program. They are set to `nil` after the
    ///   start, so that only the program keeps them open.
    static func run(
        _ program: JobProgram, _ streams: LockedValue<ProgramSupervisor.Streams?>,
        environment: [String]
    ) async -> ProgramEnd {
        let cancellation: RunDescriptor
        do throws(UVError) {
            cancellation = try RunDescriptor(eventfd(0, Int32(EFD_CLOEXEC)))
        } catch {
            return ProgramEnd(reason: .notStarted(errno: -error.code), errorText: "")
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                // A thread instead of a task, because waiting for the program blocks.
                Thread.detachNewThread {
                    let end: ProgramEnd
                    do throws(UVError) {
                        let supervisor = try ProgramSupervisor(
                            program, streams, environment: environment, cancellation)
                        end = supervisor.supervise()
                    } catch {
                        end = ProgramEnd(reason: .notStarted(errno: -error.code), errorText: "")
                    }
                    waiter.resume(returning: end)
                }
            }
        } onCancel: {
            var one: UInt64 = 1
            // An eventfd blocks a write only if its counter would exceed its maximum, which cannot
            // happen here.
            _ = write(cancellation.number, &one, MemoryLayout<UInt64>.size)
        }
    }
}

/// A file descriptor that is closed when its last reference is released.
final class RunDescriptor: Sendable {
    let number: Int32

    /// - Parameter number: the result of a system call.
    /// - Throws: the error of the call.
    init(_ number: Int32) throws(UVError) {
        guard number >= 0 else { throw UVError(code: -errno) }
        self.number = number
    }

    deinit { close(number) }

    /// Creates a pipe whose reading end is non-blocking.
    static func pipe() throws(UVError) -> (reading: RunDescriptor, writing: RunDescriptor) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw UVError(code: -errno) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return (try RunDescriptor(ends[0]), try RunDescriptor(ends[1]))
    }

    /// Creates a file in memory with these bytes, positioned at its start.
    static func memory(_ bytes: [UInt8]) throws(UVError) -> RunDescriptor {
        let file = try RunDescriptor(memfd_create("arguments", UInt32(MFD_CLOEXEC)))
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file.number, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { throw UVError(code: -errno) }
            rest = rest.dropFirst(max(0, count))
        }
        lseek(file.number, 0, SEEK_SET)
        return file
    }
}
