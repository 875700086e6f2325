// swift-tools-version:6.2
import PackageDescription

/// Uses the libraries with all traits, as another package would.
let package = Package(
    name: "Traits",
    dependencies: [
        .package(
            name: "tally", path: "../..",
            traits: [
                "ServiceLifecycleSupport", "MetricsSupport", "DistributedTracingSupport",
                "ConfigurationSupport", "EncryptionSupport",
            ]),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .testTarget(
            name: "TraitsTests",
            dependencies: [
                .product(name: "NSQBroker", package: "tally"),
                .product(name: "NSQClient", package: "tally"),
                .product(name: "NSQJobs", package: "tally"),
                .product(name: "NSQJobsEmbedded", package: "tally"),
                .product(name: "NSQTesting", package: "tally"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ])
    ]
)
