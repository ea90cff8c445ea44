/* A sync that takes longer: loaded before libc, for all contenders of a run alike (bench/slow_disk.py). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Sleeps, as a disk lets the processor do other things, and spins for the last 60 us, which no sleep hits. */
static int longer(const char *name, int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(file);
    const char *more = getenv("BENCH_DISK_US");
    long until = now() + (more ? atol(more) : 0) * 1000;
    long sleep = until - now() - 60000;
    if (sleep > 0) nanosleep(&(struct timespec){0, sleep}, 0);
    while (now() < until) {}
    return result;
}

int fsync(int file) { return longer("fsync", file); }
int fdatasync(int file) { return longer("fdatasync", file); }
