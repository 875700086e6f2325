import Foundation
import Glibc

/// The failure of a program. Its text is stored as the job's error.
struct ProgramFailure: Error, CustomStringConvertible {
    let description: String
}

/// The way in which a run of a program ended.
struct ProgramEnd: Sendable, Equatable {
    enum Reason: Sendable, Equatable {
        case exited(status: Int)
        case signaled(Int)
        case notStarted(errno: Int32)
        case overTime(Duration)
        case overMemory(bytes: Int, limit: Int)
        case cancelled
    }

    let reason: Reason
    /// The last bytes that the program has written to standard error.
    let errorText: String

    /// The exit status with which a program asks to run again later, `EX_TEMPFAIL`.
    static let snoozeStatus = 75

    /// The error to store for the job.
    var failure: String {
        errorText.isEmpty ? cause : "\(cause): \(errorText)"
    }

    private var cause: String {
        switch reason {
        case .exited(let status): "exit status \(status)"
        case .signaled(let number): "ended by signal \(number) (\(Self.name(ofSignal: number)))"
        case .notStarted(let error): "cannot start the program: \(String(cString: strerror(error)))"
        case .overTime(let limit): "ran longer than \(limit) and was ended"
        case .overMemory(let bytes, let limit):
            "used \(Self.mebibytes(bytes)) of memory, more than \(Self.mebibytes(limit)), and was "
                + "killed"
        case .cancelled: "cancelled"
        }
    }

    private static func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }

    private static func name(ofSignal number: Int) -> String {
        String(cString: strsignal(Int32(truncatingIfNeeded: number)))
    }
}
