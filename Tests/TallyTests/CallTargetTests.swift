import ArgumentParser
import HTTP
import Testing

@testable import tally

@Suite struct `A target of --publish-to` {
    @Test(arguments: [
        (
            "https://user:pa%40ss@host:81/path?token=x#part", "https://host:81/path",
            "dXNlcjpwYUBzcw=="
        ),
        ("http://user@host", "http://host", "dXNlcjo="),
        ("http://:secret@host/a", "http://host/a", "OnNlY3JldA=="),
        ("http://a@b:c@host/a", "http://host/a", "YUBiOmM="),
    ])
    func `sends its user name and password as basic authorization and hides them`(
        text: String, name: String, credentials: String
    ) throws {
        let target = try CallTarget(flag: text)
        #expect(target.name == name)
        #expect(target.authorization == "Basic \(credentials)")
    }

    @Test(arguments: [
        ("http://host/path?token=x&a[]=%20", "http://host/path"),
        ("http://[::1]:81", "http://[::1]:81"),
        ("HTTP://host:/a", "HTTP://host:/a"), ("https://host?token=x", "https://host"),
        ("http://host/a@b", "http://host/a@b"), ("stdout", "stdout"),
        ("nsq://host:4150/counts", "nsq://host:4150/counts"),
    ])
    func `without a user name sends no authorization`(text: String, name: String) throws {
        let target = try CallTarget(flag: text)
        #expect(target.name == name)
        #expect(target.authorization == nil)
    }

    @Test func `replaces environment variables in its user name, password and query`() throws {
        let variables = ["USER": "me", "PASSWORD": "p@ss:w/o?r#d%", "TOKEN": "a b&c"]
        let target = try CallTarget(
            flag: "https://${USER}:${PASSWORD}@host/path?token=${TOKEN}&x=1"
        ) { variables[$0] ?? "" }
        #expect(target.name == "https://host/path")
        #expect(target.authorization == "Basic bWU6cEBzczp3L28/ciNkJQ==")
        guard case .https(let url) = target.destination else { throw CancellationError() }
        #expect(url.target == "/path?token=a%20b%26c&x=1")
        #expect(!target.text.contains("p@ss"))
    }

    @Test(arguments: [
        ("http://u:${NOPE}@host/", "the environment variable NOPE is not set"),
        ("http://host/?t=${NOPE}", "the environment variable NOPE is not set"),
        ("http://${SET}/", "only in the user name, the password and the query string"),
        ("http://host/${SET}", "only in the user name, the password and the query string"),
        ("http://u:${SET@host/", "it contains '{'"), ("http://host/?${1}", "it contains '{'"),
    ])
    func `refuses variables that are not set or elsewhere, without their values`(
        text: String, reason: String
    ) throws {
        let error = #expect(throws: ValidationError.self) {
            try CallTarget(flag: text) { $0 == "SET" ? "value" : "" }
        }
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("value") == false)
    }

    @Test(arguments: [
        ("http://u:secret@ho st/a?secret", "it contains a blank (write %20)"),
        ("http://host/a b", "it contains a blank"), ("http://host/a?b= c", "it contains a blank"),
        ("http://host/a\tb", "a control character (U+0009)"),
        ("http://host/a\r\nX: y", "a control character (U+000D)"),
        ("http://host/\u{7f}", "a control character (U+007F)"),
        ("http://host/käse", "it contains 'ä' (write %C3%A4)"),
        ("http://host/\u{85}", "a control character (U+0085)"),
        ("http://host/{id}", "it contains '{' (write %7B)"), ("http://host/a\\b", "(write %5C)"),
        ("http://us%zzer:secret@host/", "not followed by two hex digits"),
        ("http://host/%4", "not followed by two hex digits"), ("http://host/%", "hex digits"),
        ("http://us%ffer:secret@host/", "not UTF-8"),
        ("http://host:0/", "port"), ("http://host:65536/", "port"), ("http://host:-1/", "port"),
        ("http://host:x/", "port"), ("http://host:80:80/", "port"), ("http://host:+80/", "port"),
        ("http:///path", "HOST"), ("http://:80/path", "HOST"), ("http://user:secret@/", "HOST"),
        ("http://[]:80/", "HOST"), ("http://ho[st/", "HOST"), ("http://", "HOST"),
        ("http:/host", "http://HOST"), ("ftp://host/", "use stdout, http://"),
        ("stdout2", "use stdout"), ("nsq://:4150/t", "port"), ("nsq://host/t", "port"),
        ("nsq://host:0/t", "port"), ("nsq://ho st:4150/t", "HOST"), ("nsq://host:4150/", "topic"),
        ("nsq://host:4150/a b", "topic"), ("nsq://host:4150", "nsq://HOST:PORT/TOPIC"),
    ])
    func `that is no usable URL is refused with the flag and a reason without secrets`(
        text: String, reason: String
    ) {
        #expect {
            _ = try Tally.parseAsRoot(["serve", "--publish-to=\(text)"])
        } throws: { error in
            let message = Tally.message(for: error)
            return message.contains("--publish-to=") && message.contains(reason)
                && !message.contains("secret")
        }
    }

    @Test func `that differs only by secrets is a duplicate, and the error hides them`() {
        #expect {
            _ = try Tally.parseAsRoot([
                "serve", "--publish-to=http://a:secret@host/", "--publish-to=http://b:secret@host/",
            ])
        } throws: { error in
            let text = Tally.message(for: error)
            return text.contains("duplicate --publish-to=http://host/") && !text.contains("secret")
        }
    }
}
