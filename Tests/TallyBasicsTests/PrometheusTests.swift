import TallyBasics
import Testing

/// Prometheus, “Exposition formats”, text-based format.
@Suite struct `The text for Prometheus` {
    @Test func `has a family's help and type before its samples`() {
        var text = PrometheusText()
        text.add("plays_total", .counter, "Number of plays.")
        text.sample(7)
        text.add("healthy", .gauge, "1 if all is well.")
        text.sample(true, ("part", "store"))
        text.sample(false, ("part", "client"), ("kind", "http"))
        #expect(
            text.text == """
                # HELP plays_total Number of plays.
                # TYPE plays_total counter
                plays_total 7
                # HELP healthy 1 if all is well.
                # TYPE healthy gauge
                healthy{part="store"} 1
                healthy{part="client",kind="http"} 0

                """)
    }

    @Test(arguments: [
        ("plain", "plain"), ("a\"b", #"a\"b"#), (#"a\b"#, #"a\\b"#), ("a\nb", #"a\nb"#),
        ("a\r\nb", "a\r\\nb"), ("é", "é"),
    ])
    func `escapes the values of labels`(value: String, escaped: String) {
        var text = PrometheusText()
        text.add("lag", .gauge, "Lag.")
        text.sample(1, ("client", value))
        #expect(text.text.hasSuffix("lag{client=\"\(escaped)\"} 1\n"))
    }

    @Test func `escapes line feeds and backslashes of a help, and no quotes`() {
        var text = PrometheusText()
        text.add("lag", .gauge, "a\"b\\c\nd")
        #expect(text.text.hasPrefix("# HELP lag a\"b\\\\c\\nd\n"))
    }

    @Test func `has durations in seconds`() {
        var text = PrometheusText()
        text.add("age_seconds", .gauge, "Age.")
        text.sample(.milliseconds(1_500))
        text.add("latency_seconds", .summary, "Latency.")
        text.sample([(0.5, 2_000_000), (0.99, 1_000_000_000)], count: 3, ("channel", "c"))
        #expect(text.text.contains("\nage_seconds 1.5\n"))
        #expect(text.text.contains("\nlatency_seconds{channel=\"c\",quantile=\"0.5\"} 0.002\n"))
        #expect(text.text.contains("\nlatency_seconds{channel=\"c\",quantile=\"0.99\"} 1.0\n"))
        #expect(text.text.hasSuffix("\nlatency_seconds_count{channel=\"c\"} 3\n"))
    }

    @Test func `has the cumulative buckets, the sum and the count of a histogram`() {
        var histogram = PrometheusHistogram(bounds: ["0.00001", "0.5", "1"])
        histogram.add(nanoseconds: 10_000)
        histogram.add(.milliseconds(1_000))
        histogram.add(2.5)
        histogram.add(0.25)
        var text = PrometheusText()
        text.add("latency_seconds", .histogram, "Latency.")
        text.sample(histogram, ("client", "a"))
        #expect(
            text.text.split(separator: "\n").dropFirst(2) == [
                #"latency_seconds_bucket{client="a",le="0.00001"} 1"#,
                #"latency_seconds_bucket{client="a",le="0.5"} 2"#,
                #"latency_seconds_bucket{client="a",le="1"} 3"#,
                #"latency_seconds_bucket{client="a",le="+Inf"} 4"#,
                #"latency_seconds_sum{client="a"} 3.75001"#,
                #"latency_seconds_count{client="a"} 4"#,
            ])
    }
}
