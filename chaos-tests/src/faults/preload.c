/*
 * Faults that a machine deals a process, dealt on purpose. Loaded into a node before its C library (LD_PRELOAD); does
 * nothing until the test that started the node writes orders into the file that CHAOS_ORDERS names, which is mapped here.
 * `orders` in faults.rs is the other side of the layout.
 *
 * - The wall clock: CLOCK_REALTIME is off by `clock_ms`. No other clock is, and the machine's own is never touched.
 * - A sync that fails: the next fsync or fdatasync of a file whose path ends in `suffix` answers `sync_errno`, and what
 *   was written to the file since its last good sync is gone, as a kernel may drop pages that it could not write. Only
 *   that one: the kernel, too, reports a lost page once, and whoever syncs again is told that all is well.
 * - Slow syncs: each fsync and fdatasync takes `sync_delay_us` longer.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct orders {
    int64_t clock_ms;     /* written by the test */
    int32_t sync_errno;   /* written by the test, taken back here */
    uint32_t loaded;      /* 1 once this library is there */
    uint32_t failed_syncs;
    uint32_t shifted_reads;
    char suffix[32];
    uint32_t sync_delay_us; /* written by the test */
    uint32_t delayed_syncs;
};

static struct orders *orders;

__attribute__((constructor)) static void take_orders(void) {
    const char *path = getenv("CHAOS_ORDERS");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *place = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (place != MAP_FAILED) {
        orders = place;
        __atomic_store_n(&orders->loaded, 1, __ATOMIC_RELEASE);
    }
}

/* ---- syncs ---- */

enum { FILES = 4096 };

static struct {
    dev_t device;
    ino_t inode;
    off_t synced;
} files[FILES];

static int is_meant(int fd) {
    char link[64], path[4096];
    char *end = link + sizeof link - 1;
    *end = 0;
    int rest = fd;
    do {
        *--end = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    const char *folder = "/proc/self/fd/";
    end -= strlen(folder);
    memcpy(end, folder, strlen(folder));
    ssize_t length = readlink(end, path, sizeof path);
    size_t suffix = strnlen(orders->suffix, sizeof orders->suffix);
    return length >= (ssize_t)suffix && memcmp(path + length - suffix, orders->suffix, suffix) == 0;
}

static int sync_file(int fd, long call) {
    struct stat before;
    int known = orders != NULL && fd >= 0 && fd < FILES && fstat(fd, &before) == 0;
    if (known && __atomic_load_n(&orders->sync_errno, __ATOMIC_ACQUIRE) != 0 && is_meant(fd)) {
        int error = __atomic_exchange_n(&orders->sync_errno, 0, __ATOMIC_ACQ_REL);
        if (error != 0) {
            int same = files[fd].device == before.st_dev && files[fd].inode == before.st_ino;
            if (ftruncate(fd, same ? files[fd].synced : 0) != 0) {
                abort();
            }
            __atomic_add_fetch(&orders->failed_syncs, 1, __ATOMIC_ACQ_REL);
            errno = error;
            return -1;
        }
    }
    uint32_t delay = orders == NULL ? 0 : __atomic_load_n(&orders->sync_delay_us, __ATOMIC_ACQUIRE);
    if (delay > 0) {
        struct timespec pause = {.tv_sec = delay / 1000000, .tv_nsec = (long)(delay % 1000000) * 1000};
        nanosleep(&pause, NULL);
        __atomic_add_fetch(&orders->delayed_syncs, 1, __ATOMIC_ACQ_REL);
    }
    int done = (int)syscall(call, fd);
    if (known && done == 0) {
        files[fd].device = before.st_dev;
        files[fd].inode = before.st_ino;
        files[fd].synced = before.st_size;
    }
    return done;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

/* ---- the wall clock ---- */

static int64_t shift_ms(void) { return orders == NULL ? 0 : __atomic_load_n(&orders->clock_ms, __ATOMIC_ACQUIRE); }

static void shift(struct timespec *time, int64_t ms) {
    int64_t nanos = time->tv_nsec + ms % 1000 * 1000000;
    time->tv_sec += ms / 1000 + nanos / 1000000000;
    nanos %= 1000000000;
    if (nanos < 0) {
        nanos += 1000000000;
        time->tv_sec -= 1;
    }
    time->tv_nsec = nanos;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    int (*found)(clockid_t, struct timespec *) = __atomic_load_n(&real, __ATOMIC_RELAXED);
    if (found == NULL) {
        found = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        __atomic_store_n(&real, found, __ATOMIC_RELAXED);
    }
    int result = found(clock, time);
    int64_t ms = shift_ms();
    if (result == 0 && ms != 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        shift(time, ms);
        __atomic_add_fetch(&orders->shifted_reads, 1, __ATOMIC_RELAXED);
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    if (result == 0) {
        time->tv_sec = now.tv_sec;
        time->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *place) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    if (place != NULL) {
        *place = now.tv_sec;
    }
    return now.tv_sec;
}

/* Who waits until a time of day computed it with the clock above; the kernel knows only its own. */
int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    struct timespec real = *until;
    shift(&real, -shift_ms());
    return pthread_cond_clockwait(cond, mutex, CLOCK_REALTIME, &real);
}
