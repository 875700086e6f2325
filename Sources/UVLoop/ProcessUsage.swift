import CLibuv
import TallyBasics

/// The resources that this process uses.
package enum ProcessUsage {
    /// The resident memory in bytes; `nil` if the system does not report it.
    package static var residentBytes: Int? {
        var bytes = 0
        return uv_resident_set_memory(&bytes) == 0 ? bytes : nil
    }

    /// The processor time of all threads since the start; `nil` if the system does not report it.
    package static var processorTime: Duration? {
        var usage = uv_rusage_t()
        guard uv_getrusage(&usage) == 0 else { return nil }
        return [usage.ru_utime, usage.ru_stime].reduce(.zero) { sum, time in
            sum + .seconds(time.tv_sec) + .microseconds(time.tv_usec)
        }
    }
}

extension PrometheusText {
    /// Adds the metrics of the process under the names that all client libraries of Prometheus use.
    package mutating func addProcessUsage() {
        if let bytes = ProcessUsage.residentBytes {
            add("process_resident_memory_bytes", .gauge, "Resident memory size in bytes.")
            sample(bytes)
        }
        if let time = ProcessUsage.processorTime {
            add(
                "process_cpu_seconds_total", .counter,
                "Total user and system CPU time spent in seconds.")
            sample(time)
        }
    }
}
