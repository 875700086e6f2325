// swift-tools-version:6.2
import PackageDescription

let package = Package(
    name: "Greeter",
    dependencies: [
        .package(name: "tally", path: "../..")
    ],
    targets: [
        .target(
            name: "Greeter",
            dependencies: [.product(name: "NSQClient", package: "tally")]),
        .executableTarget(
            name: "greet",
            dependencies: [
                "Greeter",
                .product(name: "NSQBroker", package: "tally"),
                .product(name: "NSQClient", package: "tally"),
            ]),
        .testTarget(
            name: "GreeterTests",
            dependencies: ["Greeter", .product(name: "NSQTesting", package: "tally")]),
    ]
)
