/// Someone who is told the counts: where the calls go, and under which name the store knows it.
package struct Client {
    /// Tells this client from the others, in the store as in the log.
    package let name: String
    package let sink: any Sink
    /// Whether the store remembers which counts it has taken. One that is remembered is told, after
    /// a restart, what it has missed, and no more. One that is not hears of changes from now on.
    package let isRemembered: Bool

    package init(_ name: String, sink: any Sink, isRemembered: Bool = true) {
        self.name = name
        self.sink = sink
        self.isRemembered = isRemembered
    }
}
