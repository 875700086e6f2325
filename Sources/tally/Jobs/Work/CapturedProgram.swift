import Glibc
import UVLoop

/// Runs a program with the standard input and error of this process, and reads its standard output.
enum CapturedProgram {
    /// The way in which a program has ended.
    enum End: Equatable {
        /// The program has ended with exit status 0, and has written this output.
        case succeeded([UInt8])
        /// The program has failed with this exit status. For a signal, it is 128 plus the number of
        /// the signal, as in a shell.
        case failed(status: Int32)
        /// The output was longer than the maximum, so the program was killed.
        case tooLong
    }

    /// Runs a program, and blocks until it ends.
    ///
    /// - Parameters:
    ///   - words: the name or path of the program, and its arguments. A name is searched in `PATH`.
    ///   - maxBytes: the maximum length of the output.
    /// - Throws: the error of a system call, for example if there is no such program.
    static func run(_ words: [String], maxBytes: Int) throws(UVError) -> End {
        let (process, output) = try start(words)
        return try waitForEnd(of: process, output, maxBytes: maxBytes)
    }

    /// Starts a program.
    ///
    /// - Returns: the process ID, and the reading end of the pipe with its output. Only the program
    ///   has the writing end, so the output ends when the program ends.
    private static func start(
        _ words: [String]
    ) throws(UVError) -> (process: pid_t, output: RunDescriptor) {
        let (reading, writing) = try RunDescriptor.pipe()
        _ = fcntl(reading.number, F_SETFL, 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, writing.number, STDOUT_FILENO)
        var arguments = words.map { strdup($0) } + [nil]
        defer { for text in arguments { free(text) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, words[0], &actions, nil, &arguments, environ)
        guard error == 0 else { throw UVError(code: -error) }
        return (process, reading)
    }

    private static func waitForEnd(
        of process: pid_t, _ output: RunDescriptor, maxBytes: Int
    ) throws(UVError) -> End {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= maxBytes {
            let count = read(output.number, &part, part.count)
            guard count >= 0 || errno == EINTR else { throw UVError(code: -errno) }
            if count == 0 { break }
            bytes += part[..<max(0, count)]
        }
        if bytes.count > maxBytes { kill(process, SIGKILL) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { throw UVError(code: -errno) }
        }
        guard bytes.count <= maxBytes else { return .tooLong }
        let signal = status & 0x7f
        guard signal == 0 else { return .failed(status: 128 + signal) }
        let code = status >> 8 & 0xff
        return code == 0 ? .succeeded(bytes) : .failed(status: code)
    }
}
