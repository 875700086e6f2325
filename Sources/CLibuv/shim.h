#include <pthread.h>
#include <uv.h>

/* libuv 1.44 cannot name a thread. glibc declares this function only for _GNU_SOURCE. */
int pthread_setname_np(pthread_t thread, const char *name);

/* Swift cannot call uv_loop_configure, which has a variable number of arguments. */
static inline int uv_loop_measure_idle_time(uv_loop_t *loop) {
    return uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
}
