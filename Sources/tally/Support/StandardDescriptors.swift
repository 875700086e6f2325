import Glibc

/// The descriptors 0, 1 and 2.
enum StandardDescriptors {
    /// Opens the null device in place of each descriptor that the parent process has closed.
    ///
    /// Otherwise the next file or socket that the process opens would get its number, and receive
    /// what is printed. Standard output is opened for reading only, so that writing to it fails.
    static func occupy() {
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        where fcntl(descriptor, F_GETFD) == -1 {
            // `open` returns the lowest free number, which is this one.
            _ = open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
