import TestKit
import TestTraits
import Testing

/// The options of our broker, or of the nsqd of `NSQD_PROGRAM`.
@Suite(.blocking) struct `The configuration endpoint` {
    @Test func `returns nsqd's default for every option`() throws {
        let nsqd = try RunningNSQD()
        let daemon = TestDaemon(nsqd)
        for (option, value) in [
            ("mem_queue_size", "10000"), ("max_bytes_per_file", "104857600"),
            ("sync_every", "2500"), ("sync_timeout", "2000000000"),
            ("msg_timeout", "60000000000"), ("max_msg_timeout", "900000000000"),
            ("max_msg_size", "1048576"), ("max_body_size", "5242880"),
            ("max_req_timeout", "3600000000000"), ("max_heartbeat_interval", "60000000000"),
            ("max_rdy_count", "2500"), ("max_output_buffer_size", "65536"),
            ("max_output_buffer_timeout", "30000000000"),
            ("min_output_buffer_timeout", "25000000"), ("output_buffer_timeout", "250000000"),
            ("max_channel_consumers", "0"), ("deflate", "true"), ("snappy", "true"),
            ("max_deflate_level", "6"), ("http_client_connect_timeout", "2000000000"),
            ("http_client_request_timeout", "5000000000"), ("log_level", "2"),
            ("log_prefix", "[nsqd] "), ("queue_scan_selection_count", "20"),
            ("queue_scan_worker_pool_max", "4"),
            ("e2e_processing_latency_window_time", "600000000000"),
            ("statsd_interval", "60000000000"),
            ("statsd_udp_packet_size", "508"), ("statsd_mem_stats", "true"),
            ("statsd_exclude_ephemeral", "false"), ("https_address", "0.0.0.0:4152"),
        ] {
            #expect(try daemon.request("GET", "/config/\(option)").body == value, "\(option)")
        }
        #expect(nsqd.stop())
    }

    @Test func `returns durations and booleans in Go's format`() throws {
        let nsqd = try RunningNSQD([
            "-msg-timeout=1m30s", "--max-msg-timeout", "1.5h", "-output-buffer-timeout", "300ms",
            "--sync-timeout=1h1m1s", "-deflate=F", "--snappy=0", "-statsd-mem-stats=FALSE",
            "-statsd-exclude-ephemeral", "-max-rdy-count", "0x10",
        ])
        let daemon = TestDaemon(nsqd)
        for (option, value) in [
            ("msg_timeout", "90000000000"), ("max_msg_timeout", "5400000000000"),
            ("output_buffer_timeout", "300000000"), ("sync_timeout", "3661000000000"),
            ("deflate", "false"), ("snappy", "false"), ("statsd_mem_stats", "false"),
            ("statsd_exclude_ephemeral", "true"), ("max_rdy_count", "16"),
        ] {
            #expect(try daemon.request("GET", "/config/\(option)").body == value, "\(option)")
        }
        #expect(nsqd.stop())
    }
}
