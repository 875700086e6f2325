import Foundation
import Glibc

/// Copies of open descriptors of this process. They simulate a child process between `fork` and
/// `exec`, which has even the descriptors that `exec` closes.
public final class InheritedDescriptors {
    private let copies: [Int32]

    /// Copies the descriptors that refer to a path.
    ///
    /// - Returns: `nil` if no descriptor refers to the path.
    public init?(of path: String) {
        let listed = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        let found = (listed ?? []).compactMap { Int32($0) }.filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))
                == path
        }
        guard !found.isEmpty else { return nil }
        copies = found.map { dup($0) }
    }

    deinit { for copy in copies { close(copy) } }
}
