// swift-tools-version:6.2
import PackageDescription

/// An application with its own database, whose articles and comments are processed by background jobs.
let package = Package(
    name: "WordCounts",
    dependencies: [
        .package(name: "tally", path: "../.."),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .target(
            name: "WordCounts",
            dependencies: [
                .product(name: "NSQJobs", package: "tally"),
                .product(name: "NSQJobsEmbedded", package: "tally"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ]),
        .executableTarget(name: "dashboard", dependencies: ["WordCounts"]),
        .testTarget(
            name: "WordCountsTests",
            dependencies: [
                "WordCounts",
                .product(name: "NSQJobs", package: "tally"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ]),
    ]
)
