// swift-tools-version:6.2
import PackageDescription

/// Continuous integration takes warnings for errors; a newer compiler may have new ones for others.
let isStrict = Context.environment["TALLY_STRICT"] != nil

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: isStrict ? .error : .warning),
]

func room(_ name: String, _ doors: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: doors, swiftSettings: settings)
}

func tests(of name: String, _ doors: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: doors + ["TestKit"], swiftSettings: settings)
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let toml = Target.Dependency.product(name: "TOMLKit", package: "TOMLKit")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "tally",
    products: [
        .executable(name: "tally", targets: ["tally"]),
        .library(name: "NSQClient", targets: ["NSQClient"]),
        .library(name: "NSQBroker", targets: ["NSQBroker"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Floor 0: the C libraries' names, and NSQ's wire format.
        .systemLibrary(
            name: "CLibuv", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"])]),
        .systemLibrary(name: "CHTTPParser", providers: [.apt(["libhttp-parser-dev"])]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(name: "CMemory"),
        room("NSQWire"),

        // Floor 1: NSQ's rules without I/O, all the I/O there is, and what bytes go through on
        // their way between the two.
        room("BrokerCore", ["NSQWire", deque, heap]),
        room("UVLoop", ["CLibuv"]),
        room("Transport", ["COpenSSL", "CZlib", "CSnappy"]),

        // Floor 2: what the parts are made with.
        room("HTTP", ["UVLoop", "Transport", "CHTTPParser"]),
        room("NSQClient", ["NSQWire", "UVLoop", deque, logging]),

        // Floor 3: what it does.
        room(
            "NSQBroker",
            ["NSQWire", "BrokerCore", "UVLoop", "Transport", "HTTP", "CMemory", deque, logging]),
        room(
            "PlayCounts",
            ["NSQWire", "NSQClient", "HTTP", "Transport", "UVLoop", grdb, heap, histogram, logging]),

        // Floor 4: what a person sees. Its files are in the binary, which needs no others.
        .target(
            name: "LivePage", dependencies: ["HTTP", "UVLoop", "PlayCounts", deque],
            resources: [.embedInCode("Page")], swiftSettings: settings),

        // Floor 5: the binary.
        .executableTarget(
            name: "tally",
            dependencies: [
                "NSQWire", "BrokerCore", "UVLoop", "Transport", "HTTP", "NSQClient", "NSQBroker",
                "PlayCounts", "LivePage", "CMemory", arguments, histogram, logging, toml,
            ],
            swiftSettings: settings),

        .target(name: "TestKit", path: "Tests/TestKit", swiftSettings: settings),
        .target(
            name: "BrokerSimulation",
            dependencies: ["NSQBroker", "BrokerCore", "NSQWire", "TestKit"],
            path: "Tests/BrokerSimulation", swiftSettings: settings),
        .executableTarget(
            name: "simulate", dependencies: ["BrokerSimulation", "TestKit"],
            path: "Tests/Simulate", swiftSettings: settings),
        tests(of: "NSQWireTests", ["NSQWire"]),
        tests(of: "BrokerCoreTests", ["BrokerCore", "NSQWire"]),
        tests(of: "UVLoopTests", ["UVLoop"]),
        tests(of: "TransportTests", ["Transport"]),
        tests(of: "HTTPTests", ["HTTP", "Transport", "UVLoop"]),
        tests(
            of: "NSQBrokerTests",
            ["NSQBroker", "BrokerCore", "NSQWire", "Transport", "HTTP", "UVLoop", logging]),
        tests(of: "BrokerSimulationTests", ["BrokerSimulation"]),
        tests(of: "NSQClientTests", ["NSQClient", "NSQBroker", "NSQWire", "UVLoop"]),
        tests(
            of: "PlayCountsTests",
            [
                "PlayCounts", "NSQClient", "NSQBroker", "NSQWire", "HTTP", "Transport", "UVLoop",
                logging,
            ]),
        tests(of: "TallyTests", ["tally", "NSQBroker", "BrokerCore", "Transport"]),
        tests(of: "LivePageTests", ["LivePage", "PlayCounts", "HTTP", "UVLoop"]),
        tests(
            of: "EndToEndTests",
            ["tally", "NSQWire", "NSQClient", "HTTP", "Transport", "UVLoop"]),
    ]
)

// The fuzzers, in the build of `.ci/fuzz` alone: they want every room with libFuzzer's eyes in it.
if Context.environment["TALLY_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "fuzz",
            dependencies: ["BrokerCore", "HTTP", "NSQBroker", "NSQWire", "Transport"],
            path: "Tests/Fuzz", swiftSettings: settings))
}
