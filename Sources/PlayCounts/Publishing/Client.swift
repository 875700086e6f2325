/// A receiver of counts: its sink (the transport of calls), and the name under which the store
/// records the counts that it has accepted.
package struct Client {
    /// Identifies the client in the store and in the log.
    package let name: String
    /// Delivers the calls to the client.
    package let sink: any Sink
    /// `true` if the store records the counts that the client accepted. After a restart, such a
    /// client receives exactly the totals that it has not accepted. Any other client receives only
    /// later changes.
    package let isRemembered: Bool

    package init(_ name: String, sink: any Sink, isRemembered: Bool = true) {
        self.name = name
        self.sink = sink
        self.isRemembered = isRemembered
    }
}
