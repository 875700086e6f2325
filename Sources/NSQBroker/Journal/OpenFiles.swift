import BrokerCore
import Glibc
import NSQWire

/// The open files of a journal, by file number. The number of descriptors is bounded: a journal may
/// have more files than the process may have descriptors.
struct OpenFiles {
    private var descriptors: [UInt32: Int32] = [:]

    /// The maximum number of open files.
    static let maxCount = 64

    subscript(number: UInt32) -> Int32? { descriptors[number] }

    /// Adds a file.
    ///
    /// - Returns: the descriptor of the file with the lowest number, which is removed and which the
    ///   caller closes; `nil` if fewer than ``maxCount`` files were open.
    mutating func add(_ number: UInt32, _ descriptor: Int32) -> Int32? {
        // The oldest file is closed, because records are written to the file with the highest number.
        let evicted = descriptors.count < Self.maxCount ? nil : descriptors.keys.min()
        defer { descriptors[number] = descriptor }
        return evicted.flatMap { descriptors.removeValue(forKey: $0) }
    }

    @discardableResult
    mutating func remove(_ number: UInt32) -> Int32? { descriptors.removeValue(forKey: number) }

    mutating func removeAll() -> [Int32] {
        defer { descriptors = [:] }
        return Array(descriptors.values)
    }
}
