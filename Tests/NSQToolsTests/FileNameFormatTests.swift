import Foundation
import Testing

@testable import NSQTools

@Suite struct `A file name of nsq_to_file` {
    private func format(
        hostname: String = "web7.example.org", _ change: (inout FileOptions) -> Void = { _ in }
    ) throws -> FileNameFormat {
        var options = FileOptions()
        change(&options)
        return try FileNameFormat(options, topic: "plays", hostname: hostname, processID: 42)
    }

    /// 2009-02-13 23:31:30 UTC, in the local time zone.
    private static let seconds = 1_234_567_890

    @Test func `contains the topic, the short host name and the hour`() throws {
        let date = FileNameFormat.date("%Y-%m-%d_%H", at: Self.seconds)
        #expect(try format().name(at: Self.seconds) == "plays.web7.\(date).log")
    }

    @Test func `contains the parts of the format`() throws {
        let name = try format {
            $0.fileNameFormat = "<TOPIC>/<HOST>-<PID>-<DATETIME>"
            $0.hostIdentifier = "<SHORT_HOST>_<HOSTNAME>"
            $0.dateFormat = "%y"
        }.name(at: Self.seconds)
        #expect(name == "plays/web7_web7.example.org-42-09")
    }

    @Test func `needs a revision with gzip, rotation or a work folder`() throws {
        let changes: [(inout FileOptions) -> Void] = [
            { $0.gzipLevel = 6 }, { $0.rotateSize = 1 }, { $0.rotateInterval = .seconds(1) },
            { $0.workFolder = "/work" },
        ]
        for change in changes {
            #expect(try format(change).name(at: 0).contains("<REV>"))
            #expect(throws: FileNameFormat.MissingRevision.self) {
                try format {
                    change(&$0)
                    $0.fileNameFormat = "<TOPIC>"
                }
            }
        }
        #expect(try !format { $0.workFolder = "/tmp" }.name(at: 0).contains("<REV>"))
        #expect(FileNameFormat.name("a<REV>.log", revision: 12) == "a-000012.log")
        #expect(FileNameFormat.name("a<REV>.log", revision: 1_234_567) == "a-1234567.log")
    }

    @Test func `ends with .gz once if files are compressed`() throws {
        #expect(try format { $0.gzipLevel = 1 }.name(at: 0).hasSuffix(".log.gz"))
        let given = try format {
            $0.gzipLevel = 1
            $0.fileNameFormat = "a<REV>.gz"
        }
        #expect(given.name(at: 0) == "a<REV>.gz")
    }

    @Test(arguments: [
        ("%%", "%"), ("%Q", "%Q"), ("100%", "100%"), ("%Y%", "2009%"), ("", ""),
        ("%a %A %b %B", "%a %A %b %B"),
    ])
    func `has the conversions of the original`(text: String, expected: String) {
        let noon = Self.seconds - 12 * 3600
        var result = FileNameFormat.date(text, at: noon)
        // At noon, the names of the day and the month are the same in every time zone.
        for (name, conversion) in [
            ("Friday", "%A"), ("Fri", "%a"), ("February", "%B"), ("Feb", "%b"),
        ] {
            result = result.replacing(name, with: conversion)
        }
        #expect(result == expected)
    }
}
