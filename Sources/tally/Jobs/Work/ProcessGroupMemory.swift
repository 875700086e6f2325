import Foundation
import Glibc
import UVLoop

/// The resident memory of process groups, from `/proc`.
///
/// One reading of `/proc` is cached for a short time and shared by all programs of a worker,
/// because it reads all processes of the machine.
final class ProcessGroupMemory: Sendable {
    static let shared = ProcessGroupMemory()

    private struct Reading {
        var bytes: [Int32: Int] = [:]
        var instant: ContinuousClock.Instant?
    }

    /// The maximum age of a reading.
    private static let maxAge = Duration.milliseconds(200)

    private let reading = LockedValue(Reading())

    /// Returns the memory of a process group without its leader. The leader is the guard (the
    /// process that ends the group), whose memory is shared with this process.
    func bytes(ofGroup group: Int32) -> Int {
        reading.withLock { reading in
            let now = ContinuousClock.now
            if reading.instant.map({ now - $0 > Self.maxAge }) ?? true {
                reading = Reading(bytes: Self.read(), instant: now)
            }
            return reading.bytes[group] ?? 0
        }
    }

    private static func read() -> [Int32: Int] {
        let pageBytes = sysconf(Int32(_SC_PAGESIZE))
        var bytes: [Int32: Int] = [:]
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for case let id? in names.map({ Int32($0) }) {
            guard let (group, pages) = usage(of: id), group != id else { continue }
            bytes[group, default: 0] += pages * pageBytes
        }
        return bytes
    }

    /// Reads the process group and the resident pages; see proc(5).
    private static func usage(of id: Int32) -> (group: Int32, pages: Int)? {
        guard let text = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
            // The name of the program is in parentheses, and may contain any character.
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[end...].split(separator: " ").dropFirst()
        let values = Array(fields)
        guard values.count > 21, let group = Int32(values[2]), let pages = Int(values[21]) else {
            return nil
        }
        return (group, pages)
    }
}
