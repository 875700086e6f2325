import Foundation
import NSQWire

/// libFuzzer looks for what this is called when it is linked, and calls it with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    Fuzz.target(Bytes(start: start, count: count))
    return 0
}

/// `main`, as libFuzzer has it for those that have none: the package manager wants one of ours.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<CInt>,
    _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Inputs that libFuzzer thinks of, for the reader that `FUZZ_TARGET` names. It may refuse them in
/// any way that it does so in service, but not fall over them.
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
            fatalError("FUZZ_TARGET is one of \(targets.keys.sorted())")
        }
        return target
    }()

    private static let targets: [String: @Sendable (Bytes) -> Void] = [
        "broker": fuzzBroker,
        "commands": fuzzCommands,
        "deflate": { fuzz(Deflating(), with: $0) },
        "http": fuzzHTTP,
        "identify": fuzzIdentify,
        "journal": fuzzJournal,
        "snappy": { fuzz(Snappy(), with: $0) },
    ]
}
