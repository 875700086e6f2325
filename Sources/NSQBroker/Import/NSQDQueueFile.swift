/// The name of a file of one of nsqd's disk queues: `OWNER.diskqueue.000000.dat` and so on with
/// messages, and `OWNER.diskqueue.meta.dat`. The owner is `TOPIC` or `TOPIC:CHANNEL`.
struct NSQDQueueFile {
    enum Part: Equatable {
        case messages(Int)
        case metadata
        /// A file that nsqd could not read and has set aside.
        case bad
    }

    let owner: String
    let part: Part

    private static let infix = ".diskqueue."

    /// - Returns: `nil` if it is not the name of a queue's file.
    init?(_ name: String) {
        guard let infix = name.ranges(of: Self.infix).last else { return nil }
        let suffix = name[infix.upperBound...]
        owner = String(name[..<infix.lowerBound])
        if suffix == "meta.dat" {
            part = .metadata
        } else if suffix.hasSuffix(".dat.bad") {
            part = .bad
        } else if suffix.hasSuffix(".dat"), let number = Int(suffix.dropLast(4)), number >= 0,
            name == Self.name(of: owner, number)
        {
            part = .messages(number)
        } else {
            return nil
        }
    }

    /// The number of a file with messages.
    var number: Int? {
        guard case .messages(let number) = part else { return nil }
        return number
    }

    static func metadataName(of owner: String) -> String { owner + infix + "meta.dat" }

    static func name(of owner: String, _ number: Int) -> String {
        let digits = String(number)
        let zeros = String(repeating: "0", count: max(0, 6 - digits.count))
        return owner + infix + zeros + digits + ".dat"
    }
}
