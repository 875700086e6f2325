import InMemoryTracing
import Metrics
import MetricsTestKit
import Tracing

/// The global systems of the process, which can be set once.
enum Systems {
    static let metrics = {
        let metrics = TestMetrics()
        MetricsSystem.bootstrap(metrics)
        return metrics
    }()

    static let tracer = {
        let tracer = InMemoryTracer()
        InstrumentationSystem.bootstrap(tracer)
        return tracer
    }()
}
