import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A stream` {
    @Test(arguments: ["127.0.0.1", "localhost", ""])
    func `transfers bytes in both directions and reports both addresses`(host: String) throws {
        let client = Collector()
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { server in
                let echo = Collector()
                echo.onBytes = { $0.send("echo " + String(decoding: echo.bytes, as: UTF8.self)) }
                echo.onEnd = { $0.close() }
                server.reader = echo
                server.startReading()
            }
            let port = listener.address.port
            Stream.connect(to: SocketAddress(host: host, port: port), on: loop) { result in
                guard let stream = try? result.get() else { return }
                #expect(stream.peerAddress == listener.address)
                #expect(stream.localAddress?.host == "127.0.0.1")
                stream.setNoDelay(true)
                client.onBytes = { stream in
                    stream.close()
                    listener.close()
                }
                stream.reader = client
                stream.startReading()
                stream.send("play")
            }
        }
        #expect(client.bytes == Array("echo play".utf8))
    }

    @Test func `transfers bytes on a loop with busy polling, which then ends`() throws {
        var rounds = 0
        try onLoop { loop in
            loop.enableBusyPoll(for: .seconds(1))
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { server in
                let echo = Collector()
                echo.onBytes = { $0.send("x") }
                echo.onEnd = { $0.close() }
                server.reader = echo
                server.startReading()
            }
            Stream.connect(to: listener.address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                let client = Collector()
                client.onBytes = { stream in
                    rounds += 1
                    guard rounds == 1_000 else { return stream.send("x") }
                    stream.close()
                    listener.close()
                }
                stream.reader = client
                stream.startReading()
                stream.send("x")
            }
        }
        #expect(rounds == 1_000)
    }

    @Test func `fails to connect to an unused port in a later iteration`() throws {
        var outcome: UVError?
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            let nobody = listener.address
            listener.close {
                Stream.connect(to: nobody, on: loop) { result in
                    if case .failure(let error) = result { outcome = error }
                }
                #expect(outcome == nil)
            }
        }
        #expect(outcome == .connectionRefused)
    }

    @Test func `fails to connect to an unknown name, unless it is cancelled before`() throws {
        var failures = 0
        try onLoop { loop in
            let nowhere = SocketAddress(host: "nowhere.invalid", port: 1)
            Stream.connect(to: nowhere, on: loop) { result in
                if case .failure = result { failures += 1 }
            }
            let given = Stream.connect(to: nowhere, on: loop) { _ in
                Issue.record("called back after cancel")
            }
            given.cancel()
        }
        #expect(failures == 1)
    }

    @Test func `can be cancelled while it connects`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { $0.close() }
            Stream.connect(to: listener.address, on: loop) { _ in
                Issue.record("called back after cancel")
            }.cancel()
            listener.close()
        }
    }

    @Test
    func `writes what the socket buffer accepts, queues the rest, and cancels it when closed`()
        throws
    {
        var queued: [UVError?] = []
        try onLoop { loop in
            // The peer never reads, so the socket buffers fill up.
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            Stream.connect(to: listener.address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                let slice = lastingSlice(1 << 20)
                var outcome = stream.tryWrite(slice)
                while case .wrote(let count) = outcome, count > 0 {
                    outcome = stream.tryWrite(slice)
                }
                #expect(outcome == .wrote(0))
                stream.write(slice) { queued.append($0) }
                #expect(stream.queuedByteCount == 1 << 20)
                #expect(stream.tryWrite(slice) == .wrote(0))
                stream.close { #expect(queued == [.canceled]) }
                #expect(queued.isEmpty)
                #expect(stream.tryWrite(slice) == .failed(.canceled))
                loop.stop()
            }
        }
        #expect(queued == [.canceled])
    }

    @Test func `shuts down after its queued bytes, and still reads`() throws {
        let received = Collector()
        let client = Collector()
        let bytes = 4 << 20
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { server in
                received.onEnd = { server in
                    server.send("got it")
                    server.close()
                }
                server.reader = received
                server.startReading()
            }
            Stream.connect(to: listener.address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                client.onEnd = { stream in
                    stream.close()
                    listener.close()
                }
                stream.reader = client
                stream.startReading()
                stream.write(lastingSlice(bytes)) { #expect($0 == nil) }
                stream.shutdown { #expect($0 == nil) }
            }
        }
        #expect(received.bytes.count == bytes)
        #expect(received.ends == [nil])
        #expect(client.bytes == Array("got it".utf8))
    }

    @Test func `fails to write after its peer has closed, without ending the process`() throws {
        var failure: UVError?
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { $0.close() }
            Stream.connect(to: listener.address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                let slice = lastingSlice(1)
                let timer = Timer(on: loop)
                timer.start(after: .zero, repeating: .milliseconds(1)) {
                    guard case .failed(let error) = stream.tryWrite(slice) else { return }
                    failure = error
                    timer.close()
                    stream.close()
                    listener.close()
                }
            }
        }
        #expect(failure == .brokenPipe || failure == .connectionReset)
    }

    @Test func `closes once, and calls every close callback`() throws {
        var closed: [Int] = []
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { stream in
                stream.close { closed.append(1) }
                stream.close {
                    closed.append(2)
                    stream.close { closed.append(3) }
                }
            }
            Stream.connect(to: listener.address, on: loop) { result in
                let reader = Collector()
                reader.onEnd = { stream in
                    stream.close()
                    listener.close()
                }
                let stream = try? result.get()
                stream?.reader = reader
                stream?.startReading()
            }
        }
        #expect(closed == [1, 2, 3])
    }

    @Test func `stops and resumes reading`() throws {
        let reader = Collector(bufferBytes: 2)
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { stream in
                stream.send("abcd")
                stream.close()
            }
            Stream.connect(to: listener.address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                reader.onBytes = { stream in
                    stream.stopReading()
                    let resume = Timer(on: loop)
                    resume.start(after: .zero) {
                        stream.startReading()
                        resume.close()
                    }
                }
                reader.onEnd = { stream in
                    stream.close()
                    listener.close()
                }
                stream.reader = reader
                stream.startReading()
            }
        }
        #expect(reader.bytes == Array("abcd".utf8))
        #expect(reader.ends == [nil])
    }
}
