import BrokerCore
import Foundation
import NSQBroker
import NSQWire
import TallyBasics

/// The contents of a data path, as text and as JSON.
struct DoctorReport: Encodable {
    private var dataPath: String
    private var healthy: Bool
    private var files: [File]
    private var records: Int
    private var messages: Int
    private var tornBytes: Int
    /// The first damaged ranges.
    private var damages: [Damage]
    private var damageCount: Int
    private var topics: [Topic]

    private struct File: Encodable {
        var name: String
        var bytes: Int
    }

    private struct Damage: Encodable {
        var file: String
        var start: Int
        var end: Int
        var what: String
    }

    private struct Topic: Encodable {
        var name: String
        var paused: Bool
        var depth: Int
        var channels: [Channel]
    }

    private struct Channel: Encodable {
        var name: String
        var paused: Bool
        var depth: Int
        var deliveredBefore: Int
        var deferred: Int
    }

    init(_ dataPath: String, _ inspection: JournalInspection) {
        self.dataPath = dataPath
        healthy = inspection.isHealthy
        files = inspection.files.map { File(name: $0.name, bytes: $0.byteCount) }
        records = inspection.report.records
        messages = inspection.report.messages
        tornBytes = inspection.report.tornBytes
        damages = inspection.report.damages.map {
            Damage(
                file: JournalFile.name(of: $0.file), start: $0.range.lowerBound,
                end: $0.range.upperBound, what: $0.what)
        }
        damageCount = inspection.report.damageCount
        topics = inspection.topics.map { topic in
            Topic(
                name: topic.name.text, paused: topic.isPaused, depth: topic.depth,
                channels: topic.channels.map {
                    Channel(
                        name: $0.name.text, paused: $0.isPaused, depth: $0.depth,
                        deliveredBefore: $0.deliveredBefore, deferred: $0.deferred)
                })
        }
    }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }

    var text: String {
        var lines = files.map { Self.row([$0.name, counted($0.bytes, "byte")], widths: [24, 18]) }
        lines.append("\(counted(records, "record")), \(counted(messages, "message"))")
        if tornBytes > 0 {
            lines.append(
                "incomplete record at the end: \(counted(tornBytes, "byte")), ignored by brokers")
        }
        if !topics.isEmpty { lines += ["", Self.header] + topics.flatMap(Self.rows) }
        lines.append("")
        lines += damages.map { "damaged: \($0.file), bytes \($0.start) to \($0.end): \($0.what)" }
        if damageCount > damages.count {
            lines.append("and \(counted(damageCount - damages.count, "more damaged range"))")
        }
        lines.append(
            healthy
                ? "healthy"
                : "damaged in \(counted(damageCount, "place")); brokers skip the damaged records")
        return lines.joined(separator: "\n")
    }

    private static let widths = [40, 12, 18, 12]
    private static let header = row(
        ["topic, channels", "depth", "delivered before", "deferred"], widths: widths)

    private static func rows(_ topic: Topic) -> [String] {
        [row([topic.name + pausedMark(topic.paused), "\(topic.depth)"], widths: widths)]
            + topic.channels.map {
                row(
                    [
                        "  " + $0.name + pausedMark($0.paused), "\($0.depth)",
                        "\($0.deliveredBefore)",
                        "\($0.deferred)",
                    ], widths: widths)
            }
    }

    private static func pausedMark(_ isPaused: Bool) -> String { isPaused ? " (paused)" : "" }

    /// Aligns the first cell to the left and the others to the right.
    private static func row(_ cells: [String], widths: [Int]) -> String {
        zip(cells, widths).enumerated().map { index, cell in
            let (text, width) = cell
            let padding = String(repeating: " ", count: max(1, width - text.count))
            return index == 0 ? text + padding : padding + text
        }.joined()
    }
}
