extension Journal {
    /// The settings of a journal.
    package struct Options: Sendable {
        /// The file length in bytes at which the journal begins a new file. A single batch may
        /// exceed this length.
        package var maxBytesPerFile = 100 << 20
        /// The maximum size of all files in bytes; 0 for no limit.
        package var maxDiskBytes = 0
        /// `true` if the broker responds to a publish only after the next sync. All publishes since
        /// the last sync share the next sync.
        package var respondsAfterSync = false
        /// The number of published messages after which a sync starts. Unless `respondsAfterSync`
        /// is `true`, no publish waits for this sync.
        package var syncEvery = 2500
        /// A closure that returns an unpredictable salt for each new file.
        package var salt: @Sendable () -> UInt32 = { .random(in: 1...(.max)) }

        /// Creates the default options.
        package init() {}
    }
}

extension Journal.Options {
    /// The minimum number of files into which `maxDiskBytes` is divided, because disk space is
    /// freed one file at a time.
    private static let minFileCount = 8

    /// The options with `maxBytesPerFile` reduced so that `maxDiskBytes` is enough for several
    /// files.
    var limitedToDisk: Self {
        var options = self
        if maxDiskBytes > 0 {
            options.maxBytesPerFile = min(maxBytesPerFile, maxDiskBytes / Self.minFileCount)
        }
        return options
    }

    /// Returns `true` if `maxDiskBytes` leaves too little space for new messages.
    ///
    /// - Parameter usedBytes: the size of all records in the journal.
    func isFull(usedBytes: Int) -> Bool {
        let margin = min(JournalWriter.reserveBytes, maxDiskBytes / Self.minFileCount)
        return maxDiskBytes > 0 && usedBytes + margin > maxDiskBytes
    }
}
