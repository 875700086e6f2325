import HTTP
import TestTraits
import Testing

@Suite(.blocking) struct `The Host names of a server` {
    @Test(arguments: [
        "localhost", "LOCALHOST:4151", "localhost.", "nsqd.localhost:80", "127.0.0.1",
        "127.255.0.9:4151", "[::1]", "[::1]:4151",
    ])
    func `on a loopback address are loopback names`(host: String) {
        #expect(HostNames(.loopback).accepts(host))
        #expect(HostNames(.numeric).accepts(host))
    }

    @Test(arguments: [
        "evil.example", "evil-127.0.0.1", "127.0.0.1.evil.example", "127.0.0.1@evil.example",
        "localhost.evil.example", "evillocalhost", "127.0.0.256", "127.0.0", "1270.0.0.1",
        "127.0.0.+1", "[::2]", "[::1", "::1", "", ":4151", "localhost:x", "local\u{200b}host",
    ])
    func `on a loopback address are no other names`(host: String) {
        #expect(!HostNames(.loopback).accepts(host))
        #expect(HostNames(.any).accepts(host))
    }

    @Test func `on another address are all numeric addresses`() {
        for host in ["10.0.0.1", "192.168.7.1:80", "[fe80::1]", "[::ffff:10.0.0.1]:80"] {
            #expect(HostNames(.numeric).accepts(host))
            #expect(!HostNames(.loopback).accepts(host))
        }
        for host in ["evil.example", "10.0.0.1.evil.example", "10.0.0", "0x7f.0.0.1", "[evil]"] {
            #expect(!HostNames(.numeric).accepts(host))
        }
    }

    @Test func `contain configured names in any case and with any port`() {
        let names = HostNames(.loopback, and: ["NSQD.lan"])
        #expect(names.accepts("nsqd.LAN"))
        #expect(names.accepts("nsqd.lan:4151"))
        #expect(!names.accepts("x.nsqd.lan"))
        #expect(!names.accepts(String(repeating: "x", count: 1 << 20) + "nsqd.lan"))
    }
}
