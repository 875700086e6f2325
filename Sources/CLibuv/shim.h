#include <pthread.h>
#include <uv.h>

/* libuv 1.44 cannot name a thread, and glibc shows this one only to GNU sources. */
int pthread_setname_np(pthread_t thread, const char *name);
