// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours is built under the same strict settings; a warning is an error.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

func library(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

/// One function of bytes for each decoder that a stranger can reach: a test target, or, where `Deploy/fuzz` asks for it, the
/// program that libFuzzer drives.
let isFuzzing = Context.environment["SYNCNODE_FUZZ"] != nil
let fuzzed: [Target.Dependency] = [
    "Chance", "ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "ReplicaStore", "NewsStore",
    "PeerTransport",
    nioCore,
]
let fuzzing: Target =
    isFuzzing
    ? .executableTarget(
        name: "fuzz", dependencies: fuzzed, path: "Tests/FuzzTests", exclude: ["Found", "DecoderTests.swift"],
        swiftSettings: strict)
    : .testTarget(
        name: "FuzzTests", dependencies: fuzzed, exclude: ["Found", "Driver"], swiftSettings: strict)

let package = Package(
    name: "syncnode",
    products: [
        .executable(name: "syncnode", targets: ["syncnode"]),
        .executable(name: "syncbench", targets: ["syncbench"]),
        .executable(name: "syncsim", targets: ["syncsim"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Chance that can be had again, for simulations and tests.
        library("Chance", []),

        // The pure core: no input or output, no clock, no random source.
        library("ReplicationModel", []),
        library("ReplicationWire", ["ReplicationModel", protobuf]),
        library("ReplicationCore", ["ReplicationModel", "ReplicationWire"]),

        // The system's libraries, each behind one door.
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        library("Trust", ["ReplicationModel", "COpenSSL"]),
        .systemLibrary(name: "CLinux"),
        library("ReplicaStore", ["ReplicationModel", "ReplicationWire", "Trust", "CSQLite", "CLinux", grdb]),
        library("NewsStore", ["ReplicationModel", "ReplicaStore"]),
        library(
            "ReplicaExchange", ["ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "ReplicaStore"]),
        library(
            "PeerTransport", ["ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", nioCore, nioPosix]),
        library(
            "NodeRuntime",
            [
                "ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "ReplicaStore", "ReplicaExchange",
                "PeerTransport", nioCore, nioPosix, logging, lifecycle,
            ]),

        .executableTarget(
            name: "syncnode",
            dependencies: [
                "ReplicationModel", "ReplicationCore", "Trust", "ReplicaStore", "NewsStore", "PeerTransport",
                "NodeRuntime", "ReplicationWire", "CLinux", argumentParser, logging, lifecycle,
            ],
            swiftSettings: strict),
        // Many nodes in one process, on virtual disks, clocks and networks: the proof that all of the above is right.
        library(
            "SimulationKit",
            [
                "Chance", "ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "ReplicaStore",
                "ReplicaExchange", "CSQLite",
            ]),
        .executableTarget(
            name: "syncsim", dependencies: ["SimulationKit", "ReplicationModel", argumentParser],
            swiftSettings: strict),
        .executableTarget(
            name: "syncbench",
            // The program itself is run, not linked: two of its processes exchange.
            dependencies: [
                "syncnode", "ReplicationModel", "ReplicationWire", "Trust", "ReplicaStore", "NewsStore", "CSQLite",
                argumentParser,
            ],
            swiftSettings: strict),

        tests("ReplicationModelTests", ["ReplicationModel"]),
        tests("ConformanceTests", ["Chance", "ReplicationModel", "ReplicationWire", "Trust"]),
        tests("ReplicationCoreTests", ["Chance", "ReplicationModel", "ReplicationWire", "ReplicationCore"]),
        tests("TrustTests", ["COpenSSL", "ReplicationModel", "Trust"]),
        tests(
            "ReplicaStoreTests",
            ["Chance", "ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "ReplicaStore", "CSQLite"]),
        tests(
            "ReplicaExchangeTests",
            ["ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "ReplicaStore", "ReplicaExchange"]),
        tests("NewsStoreTests", ["ReplicationModel", "ReplicaStore", "NewsStore", "Trust"]),
        tests(
            "PeerTransportTests",
            [
                "ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "PeerTransport", nioCore, nioPosix,
                nioEmbedded,
            ]),
        tests(
            "SimulationTests",
            [
                "Chance", "SimulationKit", "syncsim", "ReplicationModel", "ReplicaExchange", "ReplicaStore", "Trust",
            ]),
        fuzzing,
        // The real binary, and enough of its parts to play a peer that lies, or one of a version to come.
        tests(
            "ProcessTests",
            [
                "Chance", "syncnode", "ReplicationModel", "ReplicationWire", "ReplicationCore", "Trust", "ReplicaStore",
                "NewsStore", "PeerTransport", "NodeRuntime", nioCore, nioPosix,
            ]),
    ],
    swiftLanguageModes: [.v6]
)
