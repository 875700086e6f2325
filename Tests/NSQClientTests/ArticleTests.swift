import Foundation
import Testing

@Suite struct `The article Getting started` {
    /// The root of the repository.
    private let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// Returns the code that follows the line with the file's name.
    private func code(of file: String, in article: String) throws -> String {
        let begin = try #require(article.range(of: "`\(file)`:\n\n```swift\n"), "\(file)")
        let end = try #require(article[begin.upperBound...].range(of: "```\n"))
        return String(article[begin.upperBound..<end.lowerBound])
    }

    @Test(arguments: [
        "Package.swift", "Sources/Greeter/Greeter.swift", "Sources/greet/Greet.swift",
        "Tests/GreeterTests/GreeterTests.swift",
    ])
    func `shows exactly the code of the example package`(file: String) throws {
        let article = try text("Sources/NSQClient/NSQClient.docc/GettingStarted.md")
        // The example uses the libraries of this checkout.
        let shown = try code(of: file, in: article).replacing(
            #".package(url: "https://github.com/OWNER/tally", branch: "main")"#,
            with: #".package(name: "tally", path: "../..")"#)
        #expect(shown == (try text("Tests/ExamplePackage/\(file)")))
    }
}

@Suite struct `The article Comparison` {
    @Test func `names tests that exist`() throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent()
        let root = tests.deletingLastPathComponent().deletingLastPathComponent()
        let folders = [tests, root.appending(path: "Tests/NSQTestingTests")]
        var sources = ""
        for folder in folders {
            for file in try FileManager.default.contentsOfDirectory(
                at: folder, includingPropertiesForKeys: nil) where file.pathExtension == "swift"
            {
                sources += try String(contentsOf: file, encoding: .utf8)
            }
        }
        let article = try String(
            contentsOf: root.appending(path: "Sources/NSQClient/NSQClient.docc/Comparison.md"),
            encoding: .utf8)
        let names = article.split(separator: "\n").compactMap { line -> Substring? in
            guard line.hasSuffix("` |") else { return nil }
            return line.dropLast(3).split(separator: "`").last
        }
        #expect(names.count > 18)
        for name in names { #expect(sources.contains("func `\(name)`("), "\(name)") }
    }
}
