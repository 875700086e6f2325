import Foundation
import TestKit
import Testing
import Transport

extension TransportLayer {
    /// Decodes `wire` in pieces of random lengths, up to `limit` plain bytes per call.
    func decode(
        _ wire: [UInt8], limit: Int = 1 << 20, by generator: inout SeededGenerator
    ) throws -> [UInt8] {
        let plain = ByteBuffer()
        var rest = wire[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...70_000, using: &generator))
            rest = rest.dropFirst(piece.count)
            try take(Array(piece), into: plain, limit: limit)
        }
        return Array(plain.bytes)
    }

    /// Decodes `wire` in one piece.
    func decode(_ wire: [UInt8]) throws -> [UInt8] {
        let plain = ByteBuffer()
        try take(wire, into: plain, limit: 1 << 20)
        return Array(plain.bytes)
    }

    private func take(_ wire: [UInt8], into plain: ByteBuffer, limit: Int) throws {
        try wire.withUnsafeBytes { bytes in
            var bytes = bytes
            while try decode(&bytes, into: plain, limit: limit) {}
            #expect(bytes.isEmpty || hasEnded)
        }
    }

    /// Encodes `plain` in pieces of random lengths, with random flushes and one at the end.
    func encode(_ plain: [UInt8], by generator: inout SeededGenerator) -> [UInt8] {
        let wire = ByteBuffer()
        var rest = plain[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...100_000, using: &generator))
            rest = rest.dropFirst(piece.count)
            Array(piece).withUnsafeBytes { encode($0, into: wire) }
            if Bool.random(using: &generator) { flush(into: wire) }
        }
        flush(into: wire)
        return Array(wire.bytes)
    }

    func encode(_ plain: [UInt8]) -> [UInt8] {
        let wire = ByteBuffer()
        plain.withUnsafeBytes { encode($0, into: wire) }
        flush(into: wire)
        return Array(wire.bytes)
    }
}

/// Alternating compressible and incompressible bytes.
func mixedBytes(_ count: Int, by generator: inout SeededGenerator) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
        let length = min(Int.random(in: 1...30_000, using: &generator), count - bytes.count)
        if Bool.random(using: &generator) {
            let byte = UInt8.random(in: 0...255, using: &generator)
            bytes += [UInt8](repeating: byte, count: length)
        } else {
            bytes += randomBytes(length, by: &generator)
        }
    }
    return bytes
}

func randomBytes(_ count: Int, by generator: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

/// A file of `Fixtures`.
func fixture(_ path: String) throws -> [UInt8] {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Fixtures/\(path)").standardized
    return Array(try Data(contentsOf: file))
}
