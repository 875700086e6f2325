#ifndef TALLY_PROCESS_SHIM_H
#define TALLY_PROCESS_SHIM_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starts a program with a guard process, which ends the program when the starting process ends.
 *
 * The guard is a fork of the caller and the leader of a new process group, to which the program and its
 * children belong. The kernel sends the guard a signal when the thread that started it ends, and the
 * guard then kills the whole group. No process of the program outlives a caller that is killed.
 *
 * Only async-signal-safe functions are called after the fork, because the caller has several threads.
 */

struct guarded_program {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /* The descriptors that become standard input and standard error. */
    int input;
    int error;
    /* The descriptor that becomes standard output; -1 keeps the caller's standard output. */
    int output;
    /* A pipe, to which the guard writes records of `program_report`. */
    int report;
};

enum program_report_kind {
    /* `value` is the status of waitpid. */
    PROGRAM_ENDED = 0,
    /* `value` is the errno of the failed start. */
    PROGRAM_NOT_STARTED = 1,
};

struct program_report {
    int32_t kind;
    int32_t value;
};

enum { GUARD_REPORT_DESCRIPTOR = 3 };

static inline void guard_report(int32_t kind, int32_t value) {
    struct program_report report = {kind, value};
    while (write(GUARD_REPORT_DESCRIPTOR, &report, sizeof report) < 0 && errno == EINTR) {
    }
}

static inline void guard_kill_group(int number) {
    (void)number;
    kill(0, SIGKILL);
}

static inline void guard_set_descriptors(const struct guarded_program *start) {
    dup2(start->input, STDIN_FILENO);
    dup2(start->error, STDERR_FILENO);
    if (start->output >= 0) dup2(start->output, STDOUT_FILENO);
    dup2(start->report, GUARD_REPORT_DESCRIPTOR);
    fcntl(GUARD_REPORT_DESCRIPTOR, F_SETFD, FD_CLOEXEC);
    if (close_range(GUARD_REPORT_DESCRIPTOR + 1, ~0u, 0) != 0) {
        for (int other = GUARD_REPORT_DESCRIPTOR + 1; other < 65536; other++) close(other);
    }
}

static inline void guard_execute(const struct guarded_program *start, pid_t guard) {
    signal(SIGRTMAX, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (getppid() != guard) _exit(127);
    execve(start->path, start->arguments, start->environment);
    guard_report(PROGRAM_NOT_STARTED, errno);
    _exit(127);
}

static inline void guard_run(const struct guarded_program *start, pid_t caller) {
    setpgid(0, 0);
    guard_set_descriptors(start);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    signal(SIGRTMAX, guard_kill_group);
    prctl(PR_SET_PDEATHSIG, SIGRTMAX);
    /* The caller may have ended before the line above. */
    if (getppid() != caller) _exit(0);
    pid_t guard = getpid();
    pid_t program = fork();
    if (program == 0) guard_execute(start, guard);
    if (program < 0) {
        guard_report(PROGRAM_NOT_STARTED, errno);
        _exit(0);
    }
    /* The guard ignores signals to the group, which are meant for the program. */
    static const int ignored[] = {SIGTERM, SIGINT,  SIGHUP,  SIGQUIT, SIGUSR1, SIGUSR2,
                                  SIGALRM, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};
    for (unsigned index = 0; index < sizeof ignored / sizeof *ignored; index++) {
        signal(ignored[index], SIG_IGN);
    }
    /* Closes the guard's copies of the streams, so that the output ends with the program. */
    for (int stream = 0; stream < GUARD_REPORT_DESCRIPTOR; stream++) close(stream);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int status = 0;
    while (waitpid(program, &status, 0) < 0 && errno == EINTR) {
    }
    guard_report(PROGRAM_ENDED, status);
    /* Ends the processes that the program has left behind, and the guard. */
    kill(0, SIGKILL);
    _exit(0);
}

/* Returns the process ID of the guard, which is also the ID of the group; -1 with errno if the fork
 * failed. The calling thread must live until the guard has ended. The descriptors must be greater
 * than 2. */
static inline pid_t guarded_program_start(const struct guarded_program *start) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t caller = getpid();
    pid_t guard = fork();
    if (guard == 0) guard_run(start, caller);
    int error = errno;
    /* The guard does the same. Whichever is first, the group exists when this function returns. */
    if (guard > 0) setpgid(guard, guard);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return guard;
}

#endif
