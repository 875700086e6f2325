// swift-tools-version:6.2
import PackageDescription

/// Makes warnings errors in continuous integration only, because a newer compiler may report new
/// warnings.
let isStrict = Context.environment["TALLY_STRICT"] != nil

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: isStrict ? .error : .warning),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(of name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestKit", "TestTraits"], swiftSettings: settings)
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let toml = Target.Dependency.product(name: "TOMLKit", package: "TOMLKit")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

// Dependencies of the traits. SwiftPM neither resolves nor builds those of a trait that is off.
func product(_ name: String, of package: String, when trait: String) -> Target.Dependency {
    .product(name: name, package: package, condition: .when(traits: [trait]))
}
let lifecycle = product(
    "ServiceLifecycle", of: "swift-service-lifecycle", when: "ServiceLifecycleSupport")
let metrics = product("Metrics", of: "swift-metrics", when: "MetricsSupport")
let tracing = product(
    "Tracing", of: "swift-distributed-tracing", when: "DistributedTracingSupport")
let crypto = product("Crypto", of: "swift-crypto", when: "EncryptionSupport")
let configuration = product(
    "Configuration", of: "swift-configuration", when: "ConfigurationSupport")

let package = Package(
    name: "tally",
    products: [
        .executable(name: "tally", targets: ["tally"]),
        .library(name: "NSQClient", targets: ["NSQClient"]),
        .library(name: "NSQBroker", targets: ["NSQBroker"]),
        .library(name: "NSQJobs", targets: ["NSQJobs"]),
        .library(name: "NSQJobsEmbedded", targets: ["NSQJobsEmbedded"]),
        .library(name: "NSQTesting", targets: ["NSQTesting"]),
    ],
    // All traits are off by default, so that a user of NSQClient depends on swift-log alone among
    // the packages for servers. `.ci/example` builds with all traits and with none.
    traits: [
        .trait(
            name: "ServiceLifecycleSupport",
            description: """
                Producer, ConsumerService, EmbeddedBroker, Jobs and JobWorker are services.
                """),
        .trait(
            name: "MetricsSupport",
            description: "Producers, consumers and jobs report to swift-metrics."),
        .trait(
            name: "DistributedTracingSupport",
            description: """
                Publishes, handlers and attempts of jobs are spans of swift-distributed-tracing.
                """),
        .trait(
            name: "EncryptionSupport",
            description: "The arguments of jobs can be encrypted, with swift-crypto."),
        .trait(
            name: "ConfigurationSupport",
            description: "The clients' options are read with swift-configuration."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Layer 0: module maps of C libraries, NSQ's wire format, and shared basics.
        .systemLibrary(
            name: "CLibuv", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"])]),
        .systemLibrary(name: "CHTTPParser", providers: [.apt(["libhttp-parser-dev"])]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(
            name: "CPostgreSQL", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CMemory"),
        .systemLibrary(name: "CProcess"),
        module("NSQWire", ["TallyJSON"]),
        module("TallyJSON"),
        module("TallyBasics"),

        // Layer 1: the broker's rules without I/O, Go's flags, socket I/O with libuv, and TLS and
        // compression.
        module("BrokerCore", ["NSQWire", "TallyBasics", "TallyJSON", "CMemory", deque, heap]),
        module("GoFlags", ["TallyBasics", "TallyJSON"]),
        module("UVLoop", ["TallyBasics", "CLibuv"]),
        module("Transport", ["COpenSSL", "CZlib", "CSnappy"]),

        // Layer 2: HTTP and PostgreSQL over the event loop.
        module("HTTP", ["TallyJSON", "UVLoop", "Transport", "CHTTPParser"]),
        module("PostgreSQL", ["TallyBasics", "UVLoop", "CPostgreSQL"]),

        // Layer 3: the client and the broker.
        module(
            "NSQClient",
            [
                "NSQWire", "TallyBasics", "TallyJSON", "UVLoop", "Transport", "HTTP", deque,
                logging, lifecycle, metrics, tracing, configuration,
            ]),
        module(
            "NSQBroker",
            [
                "NSQWire", "TallyBasics", "TallyJSON", "BrokerCore", "GoFlags", "UVLoop",
                "Transport", "HTTP", "CMemory", deque, logging, lifecycle,
            ]),

        module(
            "NSQLookup",
            ["NSQWire", "TallyBasics", "TallyJSON", "UVLoop", "HTTP", logging]),

        // Layer 4: brokers and clients for tests, NSQ's command-line tools, the counting of plays, and
        // background jobs.
        module(
            "NSQTesting",
            ["NSQBroker", "NSQLookup", "BrokerCore", "NSQClient", "NSQWire", "UVLoop", logging]),
        module(
            "NSQTools",
            [
                "NSQClient", "NSQWire", "GoFlags", "TallyBasics", "TallyJSON", "HTTP", "Transport",
                "UVLoop", "CZlib", logging,
            ]),
        module(
            "NSQAdmin",
            [
                "NSQBroker", "NSQWire", "GoFlags", "TallyBasics", "TallyJSON", "HTTP", "Transport",
                "UVLoop", logging,
            ]),
        module(
            "PlayCounts",
            [
                "NSQWire", "TallyBasics", "TallyJSON", "NSQClient", "HTTP", "PostgreSQL",
                "Transport", "UVLoop", grdb, heap,
                histogram, logging,
            ]),
        module(
            "NSQJobs",
            [
                "TallyBasics", "TallyJSON", "NSQClient", "UVLoop", grdb, deque, logging, lifecycle,
                metrics, tracing, crypto,
            ]),
        module("NSQJobsEmbedded", ["NSQJobs", "NSQBroker"]),

        // Layer 5: the web pages. Their files are embedded in the binary.
        .target(
            name: "LivePage",
            dependencies: [
                "NSQAdmin", "NSQWire", "TallyBasics", "TallyJSON", "HTTP", "UVLoop", "PlayCounts",
                "NSQJobs", deque, logging,
            ],
            resources: [.embedInCode("Page")], swiftSettings: settings),

        // Layer 6: the executable.
        .executableTarget(
            name: "tally",
            dependencies: [
                "NSQWire", "TallyBasics", "TallyJSON", "BrokerCore", "GoFlags", "UVLoop",
                "Transport", "HTTP", "PostgreSQL", "NSQClient", "NSQBroker", "NSQLookup",
                "NSQTools", "NSQAdmin", "NSQJobs", "NSQJobsEmbedded", "PlayCounts", "LivePage",
                "CMemory",
                "CProcess", arguments, grdb, histogram, logging, toml,
            ],
            swiftSettings: settings),

        .target(
            name: "TestKit", dependencies: ["TallyBasics"], path: "Tests/TestKit",
            swiftSettings: settings),
        // Separate from TestKit, because the program `simulate` uses TestKit without Swift Testing.
        .target(name: "TestTraits", path: "Tests/TestTraits", swiftSettings: settings),
        .target(
            name: "BrokerSimulation",
            dependencies: ["NSQBroker", "BrokerCore", "NSQWire", "TallyBasics", "TestKit"],
            path: "Tests/BrokerSimulation", swiftSettings: settings),
        .executableTarget(
            name: "simulate", dependencies: ["BrokerSimulation", "TestKit"],
            path: "Tests/Simulate", swiftSettings: settings),
        .executableTarget(
            name: "job-worker", dependencies: ["NSQJobs", "NSQClient", logging],
            path: "Tests/JobWorkerProgram", swiftSettings: settings),
        tests(of: "TallyBasicsTests", ["TallyBasics"]),
        tests(of: "TallyJSONTests", ["TallyJSON"]),
        tests(of: "NSQWireTests", ["NSQWire"]),
        tests(of: "BrokerCoreTests", ["BrokerCore", "NSQWire", "TallyBasics"]),
        tests(of: "UVLoopTests", ["UVLoop"]),
        tests(of: "TransportTests", ["Transport"]),
        tests(of: "PostgreSQLTests", ["PostgreSQL", "UVLoop"]),
        tests(of: "HTTPTests", ["HTTP", "Transport", "UVLoop"]),
        tests(
            of: "NSQBrokerTests",
            [
                "NSQBroker", "BrokerCore", "GoFlags", "NSQWire", "TallyBasics", "Transport", "HTTP",
                "UVLoop", logging,
            ]),
        tests(
            of: "NSQLookupTests",
            ["NSQLookup", "NSQWire", "TallyBasics", "TallyJSON", "UVLoop", logging]),
        tests(of: "BrokerSimulationTests", ["BrokerSimulation"]),
        tests(
            of: "NSQClientTests",
            [
                "NSQClient", "NSQBroker", "BrokerCore", "GoFlags", "NSQWire", "TallyBasics",
                "Transport", "HTTP", "UVLoop", logging,
            ]),
        tests(
            of: "NSQToolsTests",
            [
                "NSQTools", "NSQClient", "GoFlags", "TallyBasics", "TallyJSON", "CZlib", logging,
            ]),
        tests(
            of: "NSQAdminTests",
            [
                "NSQAdmin", "LivePage", "NSQTesting", "NSQBroker", "NSQClient", "HTTP", "TallyJSON",
                "UVLoop", logging,
            ]),
        tests(of: "NSQTestingTests", ["NSQTesting", "NSQBroker", "NSQClient", logging]),
        tests(
            of: "PlayCountsTests",
            [
                "PlayCounts", "NSQClient", "NSQBroker", "NSQWire", "PostgreSQL", "TallyBasics",
                "HTTP", "Transport", "UVLoop", logging,
            ]),
        tests(
            of: "NSQJobsTests",
            [
                "NSQJobs", "NSQJobsEmbedded", "NSQTesting", "NSQBroker", "NSQClient", "TallyBasics",
                "UVLoop", "job-worker", grdb, logging,
            ]),
        tests(
            of: "TallyTests",
            [
                "tally", "GoFlags", "NSQBroker", "NSQJobs", "BrokerCore", "HTTP", "LivePage",
                "NSQWire", "TallyBasics", "TallyJSON", "Transport", "UVLoop", arguments,
            ]),
        tests(
            of: "LivePageTests",
            [
                "LivePage", "PlayCounts", "NSQJobs", "NSQClient", "NSQWire", "TallyBasics", "HTTP",
                "UVLoop", logging,
            ]),
        tests(
            of: "EndToEndTests",
            ["tally", "NSQWire", "NSQClient", "HTTP", "PostgreSQL", "Transport", "UVLoop"]),
    ]
)

// The fuzz target exists only in the build of `.ci/fuzz`, because every module must be compiled
// with libFuzzer instrumentation.
if Context.environment["TALLY_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "BrokerCore", "HTTP", "NSQAdmin", "NSQBroker", "NSQClient", "NSQLookup", "NSQWire",
                "TallyBasics", "TallyJSON", "Transport",
            ],
            path: "Tests/Fuzz", swiftSettings: settings))
}

// The builds for the sanitizers contain only the test targets that they run, and what those use.
if let names = Context.environment["TALLY_TESTS"]?.split(separator: ",").map(String.init) {
    var used = Set(names)
    // Every target is declared after the targets that it uses.
    for target in package.targets.reversed() where used.contains(target.name) {
        for case .byNameItem(let name, _) in target.dependencies { used.insert(name) }
    }
    package.targets.removeAll { !used.contains($0.name) }
    package.products = []
}
