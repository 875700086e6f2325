/// The version of tally. The version of nsqd that the broker reports to its clients is separate.
package enum TallyVersion {
    package static let current = "0.1.0"
}
