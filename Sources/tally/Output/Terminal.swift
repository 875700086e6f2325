import Foundation

/// The terminal at standard error.
enum Terminal {
    /// `true` if standard error is a terminal that can move its cursor.
    static let isAvailable =
        isatty(STDERR_FILENO) == 1 && !["", "dumb"].contains(environment("TERM"))

    static let isColored = isAvailable && environment("NO_COLOR").isEmpty

    /// `true` if the locale's character encoding is UTF-8.
    static let isUnicode: Bool = {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(environment).first { !$0.isEmpty } ?? ""
        let name = locale.lowercased()
        return name.contains("utf-8") || name.contains("utf8")
    }()

    /// The present width and height of a terminal in characters; 80 and 24 if they are unknown.
    static func size(of descriptor: Int32 = STDERR_FILENO) -> (columns: Int, rows: Int) {
        var size = winsize()
        let isKnown = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0
        let columns = isKnown && size.ws_col > 0 ? Int(size.ws_col) : Int(environment("COLUMNS"))
        let rows = isKnown && size.ws_row > 0 ? Int(size.ws_row) : Int(environment("LINES"))
        return (max(1, columns ?? 80), max(1, rows ?? 24))
    }

    static func environment(_ name: String) -> String {
        getenv(name).map { String(cString: $0) } ?? ""
    }
}
