import Glibc

/// The processes of this machine, by which the store determines which workers have ended.
package struct ProcessLiveness: Sendable {
    /// Returns the identity of this process; `nil` if it cannot be identified.
    package let own: @Sendable () -> String?
    /// Returns `true` only if the process with this identity has certainly ended.
    package let hasEnded: @Sendable (String) -> Bool

    package init(
        own: @escaping @Sendable () -> String?, hasEnded: @escaping @Sendable (String) -> Bool
    ) {
        self.own = own
        self.hasEnded = hasEnded
    }

    /// The namespaces in the identity of a process: its third word.
    static func namespaces(of identity: String) -> String {
        identity.split(separator: " ").dropFirst(2).first.map { String($0) } ?? ""
    }

    /// The processes of the system.
    package static let system = ProcessLiveness {
        ProcessIdentity.own?.description
    } hasEnded: { text in
        ProcessIdentity(text)?.hasEnded ?? false
    }
}

/// Identifies a process of this machine: its ID, the time of its start, and the PID and time namespaces
/// in which these two numbers are valid.
///
/// - SeeAlso: proc(5), `/proc/PID/stat`; pid_namespaces(7); time_namespaces(7).
struct ProcessIdentity: Hashable {
    private let id: Int32
    /// The start in clock ticks since the start of the machine.
    private let start: UInt64
    private let namespaces: String

    /// The identity of this process; `nil` if `/proc` does not show the processes of its namespace.
    static var own: ProcessIdentity? {
        guard let namespaces = readNamespaces(), let status = Status(of: "self"),
            status.id == getpid()
        else { return nil }
        return ProcessIdentity(id: status.id, start: status.start, namespaces: namespaces)
    }

    private init(id: Int32, start: UInt64, namespaces: String) {
        self.id = id
        self.start = start
        self.namespaces = namespaces
    }

    /// `true` only if the process has certainly ended. The answer is `false` if this process is in other
    /// namespaces, or may not see the process.
    var hasEnded: Bool {
        guard let own = Self.own, own.namespaces == namespaces else { return false }
        if kill(id, 0) != 0, errno == ESRCH { return true }
        guard let status = Status(of: "\(id)"), status.id == id else { return false }
        // The ID was assigned to a later process.
        if status.start != start { return true }
        // The first thread of a process can end while other threads of the process run.
        return status.isFirstThreadEnded && status.threads <= 1
    }

    private static func readNamespaces() -> String? {
        guard let process = link("/proc/self/ns/pid") else { return nil }
        // Kernels before 5.6 have no namespaces of time.
        return "\(process),\(link("/proc/self/ns/time") ?? "")"
    }

    private static func link(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 128)
        let count = readlink(path, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The fields of `/proc/PID/stat` that identify a process and show whether it has ended.
    private struct Status {
        let id: Int32
        let start: UInt64
        let threads: Int
        let isFirstThreadEnded: Bool

        init?(of name: String) {
            guard let text = Self.read("/proc/\(name)/stat"),
                let id = text.split(separator: " ").first.flatMap({ Int32($0) }),
                // The name of the program is in parentheses, and may contain any character.
                let end = text.lastIndex(of: ")")
            else { return nil }
            let fields = text[end...].split(separator: " ").dropFirst().map { String($0) }
            guard fields.count > 19, let threads = Int(fields[17]), let start = UInt64(fields[19])
            else { return nil }
            self.id = id
            self.start = start
            self.threads = threads
            isFirstThreadEnded = fields[0] == "Z" || fields[0] == "X"
        }

        private static func read(_ path: String) -> String? {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { return nil }
            defer { close(file) }
            var bytes = [UInt8](repeating: 0, count: 1_024)
            let count = Glibc.read(file, &bytes, bytes.count)
            return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
        }
    }
}

extension ProcessIdentity: LosslessStringConvertible {
    /// Parses the description; `nil` if the text is not a description.
    init?(_ description: String) {
        let fields = description.split(separator: " ")
        guard fields.count == 3, let id = Int32(fields[0]), id > 0, let start = UInt64(fields[1])
        else { return nil }
        self.init(id: id, start: start, namespaces: String(fields[2]))
    }

    /// The fields, separated by spaces.
    var description: String { "\(id) \(start) \(namespaces)" }
}
