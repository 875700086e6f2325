/// Removed journal files that are kept for reuse as new journal files. Overwriting a recycled file
/// costs half as much as writing a new file, because the pages of the recycled file are in the page
/// cache and its blocks are allocated. Recycling also avoids freeing disk space, which takes tens of
/// milliseconds per file.
struct RecycledFiles {
    struct File: Equatable {
        /// The file number of the removed journal file.
        var number: UInt32
        var descriptor: Int32
        var byteCount: Int
        /// `true` if the removal of the journal file is synced. Before the sync, a power failure
        /// can undo the removal, so the file's bytes must not be overwritten.
        var isRemovalDurable = false

        var name: String { RecycledFiles.namePrefix + String(number) }
    }

    /// The recycled files, the oldest first.
    private(set) var files: [File] = []
    /// The smallest number of recycled files since the last call of ``removeIdle()``.
    private var minCount = 0

    static let namePrefix = "journal.spare."
    /// The maximum size of all recycled files in bytes: about the amount that is published in a
    /// second.
    static let maxBytes = 1 << 30
    /// The maximum number of recycled files. Each recycled file holds an open descriptor.
    static let maxCount = 64
    /// The minimum size of a recycled file in bytes. Recycling a smaller file saves no time.
    static let minBytes = 1 << 20

    var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

    /// The recycled file to use next: the newest one, whose pages are most likely in the page
    /// cache. The value is `nil` if no removal is durable.
    var next: File? { files.last(where: \.isRemovalDurable) }

    /// Returns `true` if a removed file of `byteCount` bytes should be recycled.
    func shouldRecycle(byteCount: Int) -> Bool {
        byteCount >= Self.minBytes && self.byteCount + byteCount <= Self.maxBytes
            && files.count < Self.maxCount
    }

    mutating func append(_ file: File) { files.append(file) }

    mutating func remove(_ file: File) {
        files.removeAll { $0 == file }
        minCount = min(minCount, files.count)
    }

    /// Marks the removals of files as durable after a successful sync that started after them.
    ///
    /// - Parameter numbers: the file numbers of the removed journal files.
    mutating func markRemovalsDurable(_ numbers: Set<UInt32>) {
        for index in files.indices where numbers.contains(files[index].number) {
            files[index].isRemovalDurable = true
        }
    }

    /// Removes and returns the recycled files whose removal is not durable, after a failed sync.
    /// Even if a later sync succeeds, the removal of these files may not be durable.
    mutating func removeNonDurable() -> [File] {
        defer {
            files.removeAll { !$0.isRemovalDurable }
            minCount = min(minCount, files.count)
        }
        return files.filter { !$0.isRemovalDurable }
    }

    /// Removes and returns the recycled files that stayed unused since the last call.
    mutating func removeIdle() -> [File] {
        let idle = Array(files.prefix(minCount))
        files.removeFirst(idle.count)
        minCount = files.count
        return idle
    }

    mutating func removeAll() -> [File] {
        defer { self = RecycledFiles() }
        return files
    }
}
