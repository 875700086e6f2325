/// Returns a count followed by its noun in singular or plural: `counted(1, "message")` is "1
/// message", and `counted(2, "message")` is "2 messages".
///
/// - Parameter plural: the plural noun; `nil` appends "s" to the singular.
package func counted(
    _ count: some BinaryInteger, _ singular: String, plural: String? = nil
) -> String {
    "\(count) \(count == 1 ? singular : plural ?? singular + "s")"
}
