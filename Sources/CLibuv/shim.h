#include <pthread.h>
#include <uv.h>

/* libuv 1.44 cannot name a thread, and glibc shows this one only to GNU sources. */
int pthread_setname_np(pthread_t thread, const char *name);

/* libuv's own has a variable number of arguments, which Swift cannot call. */
static inline int uv_loop_measure_idle_time(uv_loop_t *loop) {
    return uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
}
