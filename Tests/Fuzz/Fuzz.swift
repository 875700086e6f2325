import Foundation
import NSQWire

/// The function that libFuzzer calls with each input. Its name is fixed by libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func readOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    Fuzz.target(Bytes(start: start, count: count))
    return 0
}

/// libFuzzer's `main`. Our `main` calls it, because the package manager requires every executable to
/// have one.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<CInt>,
    _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Passes libFuzzer's inputs to the parser that the variable `FUZZ_TARGET` names. The parser may
/// reject an input, but must not crash.
@main enum Fuzz {
    static func main() {
        var count = Swift.CommandLine.argc
        var words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = Swift.CommandLine
            .unsafeArgv
        exit(runFuzzer(&count, &words) { readOneInput($0, $1) })
    }

    fileprivate static let target: @Sendable (Bytes) -> Void = {
        let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? ""
        guard let target = targets[name] else {
            fatalError("FUZZ_TARGET must be one of \(targets.keys.sorted())")
        }
        return target
    }()

    private static let targets: [String: @Sendable (Bytes) -> Void] = [
        "authorization": fuzzAuthorization,
        "broker": fuzzBroker,
        "client": fuzzClient,
        "commands": fuzzCommands,
        "deflate": { fuzz(Deflating(), with: $0) },
        "http": fuzzHTTP,
        "identify": fuzzIdentify,
        "journal": fuzzJournal,
        "lookupd": fuzzLookupd,
        "nsqadmin": fuzzNSQAdmin,
        "nsqlookupd": fuzzNSQLookupd,
        "snappy": { fuzz(Snappy(), with: $0) },
    ]
}
