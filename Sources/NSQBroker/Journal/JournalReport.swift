import BrokerCore

/// The result of reading all files of a journal.
package struct JournalReport: Sendable, Equatable {
    /// A byte range of a file that cannot be read.
    package struct Damage: Sendable, Equatable, CustomStringConvertible {
        /// The file's number.
        package var file: UInt32
        /// The damaged byte range.
        package var range: Range<Int>
        /// A description of the damage, such as `a damaged record`.
        package var what: String

        package var description: String {
            "\(JournalFile.name(of: file)), bytes \(range.lowerBound) to \(range.upperBound): "
                + what
        }
    }

    /// The first damaged ranges, the oldest file first, at most ``maxDamages``.
    package private(set) var damages: [Damage] = []
    /// The number of damaged ranges, including those that ``damages`` omits.
    package private(set) var damageCount = 0
    /// The maximum number of elements in ``damages``. A damaged file can have millions of damaged
    /// ranges.
    package static let maxDamages = 1000
    /// The size of the torn tail in bytes. An interrupted write leaves a torn tail in the last
    /// file.
    package var tornBytes = 0
    package var files = 0
    /// The number of readable records.
    package var records = 0
    /// The number of messages in these records, including finished messages.
    package var messages = 0
}

extension JournalReport {
    mutating func addDamage(_ range: Range<Int>, in file: UInt32, _ what: String) {
        damageCount += 1
        guard damages.count < Self.maxDamages else { return }
        damages.append(Damage(file: file, range: range, what: what))
    }

    mutating func count(_ record: DecodedRecord) {
        if case .messages(let found, _) = record { messages += found.run.count }
    }
}
