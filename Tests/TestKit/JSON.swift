import Foundation

/// Parses a JSON object with Foundation, which shares no code with our own reader and writer.
///
/// - Throws: an error if the text is not JSON, or another kind of value.
package func jsonObject(in text: some Sequence<UInt8>) throws -> [String: Any] {
    let data = Data(text)
    guard let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
        throw NotAnObject(text: String(decoding: data, as: UTF8.self))
    }
    return object
}

private struct NotAnObject: Error { let text: String }

extension Decodable {
    /// Decodes a JSON text with Foundation.
    ///
    /// - Parameter keys: `.convertFromSnakeCase` if the properties have names of Swift.
    package init(
        json text: some Sequence<UInt8>,
        keys: JSONDecoder.KeyDecodingStrategy = .useDefaultKeys
    ) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = keys
        self = try decoder.decode(Self.self, from: Data(text))
    }
}
