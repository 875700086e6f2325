/// Finds the option that a misspelled name probably stands for.
package enum Suggestion {
    /// Finds the known name that is most similar to an unknown one.
    ///
    /// - Parameters:
    ///   - name: the unknown name, without dashes.
    ///   - names: the known names.
    /// - Returns: the most similar known name, or `nil` if none is similar.
    package static func nearest(to name: String, in names: [String]) -> String? {
        let name = String(name.lowercased().map { $0 == "_" ? "-" : $0 })
        // The names of options are short, so a long text is not a misspelled name.
        guard name.count <= 64 else { return nil }
        return names.sorted().filter { isSimilar(name, $0) }
            .min { editDistance(name, $0) < editDistance(name, $1) }
    }

    private static func isSimilar(_ name: String, _ known: String) -> Bool {
        if name.count >= 3, known.hasPrefix(name) { return true }
        if editDistance(name, known) <= max(1, name.count / 3) { return true }
        let (words, knownWords) = (Set(name.split(separator: "-")), known.split(separator: "-"))
        let shared = knownWords.count { words.contains($0) }
        return shared > 0 && 2 * shared >= max(words.count, knownWords.count)
    }

    /// Returns the Levenshtein distance: the least number of inserted, removed and replaced
    /// characters that change one text into the other.
    package static func editDistance(_ first: String, _ second: String) -> Int {
        let second = Array(second)
        var distances = Array(0...second.count)
        for (row, character) in first.enumerated() {
            var diagonal = distances[0]
            distances[0] = row + 1
            for (column, other) in second.enumerated() {
                let replaced = diagonal + (character == other ? 0 : 1)
                diagonal = distances[column + 1]
                distances[column + 1] = min(replaced, diagonal + 1, distances[column] + 1)
            }
        }
        return distances[second.count]
    }
}
