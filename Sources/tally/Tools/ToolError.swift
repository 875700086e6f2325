/// The reason why a tool ends with the exit status 1.
struct ToolError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
