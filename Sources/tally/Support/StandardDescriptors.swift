import Glibc

/// The file descriptors 0, 1 and 2.
enum StandardDescriptors {
    /// Opens the null device in place of each descriptor that the parent process has closed.
    ///
    /// Otherwise the next file or socket that the process opens would get this number, and receive
    /// all printed text. Standard output is opened only for reading, so that writing to it is an
    /// error.
    static func occupy() {
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        where fcntl(descriptor, F_GETFD) == -1 {
            // `open` returns the lowest free number, which is `descriptor`.
            _ = open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
