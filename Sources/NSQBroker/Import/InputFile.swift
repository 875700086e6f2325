import BrokerCore
import Glibc
import NSQWire

/// A buffered reader for a regular file in a folder to which other programs may write.
///
/// The file is not mapped into memory, because a read error or a file that becomes shorter would
/// then end the process.
final class InputFile {
    let byteCount: Int
    private let path: String
    private let descriptor: Int32
    private var buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: InputFile.bufferBytes, alignment: 16)
    private var bufferOffset = 0
    private var bufferedCount = 0

    private static let bufferBytes = 1 << 20

    /// - Throws: an error if there is no such file, or it is not a regular file.
    init(_ name: String, in folder: LockedFolder) throws(MessageLogError) {
        path = "\(folder.path)/\(name)"
        descriptor = try folder.open(name)
        byteCount = try FileCalls.byteCount(of: descriptor, path)
    }

    deinit {
        buffer.deallocate()
        close(descriptor)
    }

    /// Returns the bytes in `range`, or fewer at the end of the file. They are valid until the next
    /// call.
    func bytes(_ range: Range<Int>) throws(MessageLogError) -> Bytes {
        if range.lowerBound < bufferOffset || range.upperBound > bufferOffset + bufferedCount {
            try fillBuffer(from: range.lowerBound, byteCount: range.count)
        }
        let start = range.lowerBound - bufferOffset
        return Bytes(buffer).view(start..<max(start, min(bufferedCount, start + range.count)))
    }

    private func fillBuffer(from start: Int, byteCount: Int) throws(MessageLogError) {
        if byteCount > buffer.count {
            buffer.deallocate()
            buffer = .allocate(byteCount: byteCount, alignment: 16)
        }
        bufferedCount = 0
        bufferOffset = start
        bufferedCount = try FileCalls.read(descriptor, at: start, into: buffer, path)
    }

    /// Returns all bytes of a small file.
    ///
    /// - Throws: an error if the file has more than `limit` bytes.
    func allBytes(limit: Int) throws(MessageLogError) -> Bytes {
        guard byteCount <= limit else {
            throw MessageLogError("\(path) has \(byteCount) bytes, more than \(limit)")
        }
        return try bytes(0..<byteCount)
    }
}
