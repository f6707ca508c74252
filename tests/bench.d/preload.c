/*
 * What a machine does to a daemon, done to one process: LD_PRELOAD it.
 *
 *   FAULTS_LOG=FILE    every change below FAULTS_ROOT is written to FILE, with its bytes and in its order, every sync
 *                      with the place in FILE that it covers, and what is sent through sockets; `power.py` replays it
 *   FAULTS_ROOT=DIR    what is recorded and what faults hit
 *   FAULTS_HALT=FILE   one byte: once it is 1 no change is begun any more, and it becomes 2 when none is under way
 *   FAULTS_CLOCK=FILE  eight bytes, native order: seconds that CLOCK_REALTIME is off; may change at any time
 *   FAULTS_SHORT=N     every Nth write below the root takes half of its bytes, and says so
 *   FAULTS_SLOW_MS=MS  every sync below the root takes so much longer
 *
 * Records are held against each other by power.py: replayed without a loss they have to make the very folder that
 * the daemon left, so a call that is missing here fails the test instead of flattering it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...)                                     \
    static type (*real)(__VA_ARGS__);                             \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

enum { FDS = 1 << 16, SENT = 1024 };

/* Held from before a change until it is in the log, so that the log has the order of the disk. */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static uint64_t log_end;
static char root[PATH_MAX];
static size_t root_length;
static volatile int64_t *clock_off;
static volatile unsigned char *halt;
static long short_each, slow_ms;
static unsigned long writes;
/* Inode of what is open below the root; 0 for everything else. */
static uint64_t inodes[FDS];
static unsigned char sockets[FDS];

/* Waits for its turn to change something. Who finds the recording ended keeps the turn for good: a process that is
 * killed within a call may have changed what is not in the log. */
static void take_turn(void) {
    pthread_mutex_lock(&order);
    if (!halt || !*halt) return;
    *halt = 2;
    for (;;) pause();
}

__attribute__((constructor)) static void begin(void) {
    const char *value;
    if ((value = getenv("FAULTS_ROOT")) && realpath(value, root)) root_length = strlen(root);
    if ((value = getenv("FAULTS_LOG"))) {
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, value, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (log_fd < 0) _exit(99);
    }
    if ((value = getenv("FAULTS_CLOCK"))) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, value, O_RDONLY | O_CLOEXEC, 0);
        void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) _exit(99);
        clock_off = at;
    }
    if ((value = getenv("FAULTS_HALT"))) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, value, O_RDWR | O_CLOEXEC, 0);
        void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) _exit(99);
        halt = at;
    }
    if ((value = getenv("FAULTS_SHORT"))) short_each = atol(value);
    if ((value = getenv("FAULTS_SLOW_MS"))) slow_ms = atol(value);
}

/* One record: kind, three numbers, length of what follows. */
static void record(char kind, uint64_t a, uint64_t b, uint64_t c, const void *bytes, size_t length) {
    if (log_fd < 0) return;
    struct { uint64_t kind, a, b, c, length; } head = {(uint64_t)kind, a, b, c, length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    ssize_t wrote = syscall(SYS_writev, log_fd, parts, length ? 2 : 1);
    if (wrote != (ssize_t)(sizeof head + length)) _exit(98);
    log_end += (uint64_t)wrote;
}

static int below(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == 0 || path[root_length] == '/');
}

/* The whole path of what a call names, or an empty one. */
static void whole(int dir, const char *path, char *out) {
    char link[64];
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
    } else if (dir == AT_FDCWD) {
        if (!getcwd(out, PATH_MAX)) *out = 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t length = readlink(link, out, PATH_MAX - 1);
        out[length < 0 ? 0 : length] = 0;
    }
    if (path[0] != '/') {
        size_t used = strlen(out);
        snprintf(out + used, PATH_MAX - used, "/%s", path);
    }
}

static uint64_t inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static uint64_t inode_at(const char *path) {
    struct stat found;
    return lstat(path, &found) ? 0 : found.st_ino;
}

static uint64_t known(int fd) { return fd >= 0 && fd < FDS ? inodes[fd] : 0; }

static int open_real(int dir, const char *path, int flags, mode_t mode) {
    REAL(int, "openat64", int, const char *, int, ...);
    char full[PATH_MAX];
    whole(dir, path, full);
    if (!below(full)) {
        int fd = real(dir, path, flags, mode);
        if (fd >= 0 && fd < FDS) inodes[fd] = sockets[fd] = 0;
        return fd;
    }
    take_turn();
    int existed = flags & O_CREAT ? inode_at(full) != 0 : 1;
    int fd = real(dir, path, flags, mode);
    int error = errno;
    if (fd >= 0 && fd < FDS) {
        sockets[fd] = 0;
        inodes[fd] = inode_of(fd);
        if (!existed) record('C', inodes[fd], 0, 0, full, strlen(full));
        if (existed && flags & O_TRUNC) record('T', inodes[fd], 0, 0, NULL, 0);
    }
    pthread_mutex_unlock(&order);
    errno = error;
    return fd;
}

#define MODE                                          \
    mode_t mode = 0;                                  \
    if (flags & (O_CREAT | O_TMPFILE)) {              \
        va_list more;                                 \
        va_start(more, flags);                        \
        mode = va_arg(more, mode_t);                  \
        va_end(more);                                 \
    }
int open(const char *path, int flags, ...) { MODE return open_real(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_real(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE return open_real(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE return open_real(dir, path, flags, mode); }

int close(int fd) {
    REAL(int, "close", int);
    if (fd == log_fd && fd >= 0) return 0;
    if (fd >= 0 && fd < FDS) inodes[fd] = sockets[fd] = 0;
    return real(fd);
}

/* The library closes what a stream of names was read through without asking close(). */
int closedir(DIR *names) {
    REAL(int, "closedir", DIR *);
    int fd = dirfd(names);
    if (fd >= 0 && fd < FDS) inodes[fd] = 0;
    return real(names);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    REAL(int, "accept4", int, struct sockaddr *, socklen_t *, int);
    int made = real(fd, address, length, flags);
    if (made >= 0 && made < FDS) {
        inodes[made] = 0;
        sockets[made] = 1;
    }
    return made;
}

int dup(int fd) {
    REAL(int, "dup", int);
    int made = real(fd);
    if (made >= 0 && made < FDS && fd < FDS) {
        inodes[made] = inodes[fd];
        sockets[made] = sockets[fd];
    }
    return made;
}

int fcntl64(int fd, int command, ...) {
    REAL(int, "fcntl64", int, int, ...);
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    int made = real(fd, command, argument);
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && made >= 0 && made < FDS && fd < FDS) {
        inodes[made] = inodes[fd];
        sockets[made] = sockets[fd];
    }
    return made;
}
int fcntl(int fd, int command, ...) {
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return fcntl64(fd, command, argument);
}

static size_t shortened(size_t count) {
    return short_each && count > 1 && ++writes % (unsigned long)short_each == 0 ? count / 2 : count;
}

static ssize_t pwrite_real(int fd, const void *bytes, size_t count, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    uint64_t inode = known(fd);
    if (!inode) return real(fd, bytes, count, at);
    take_turn();
    ssize_t wrote = real(fd, bytes, shortened(count), at);
    int error = errno;
    if (wrote > 0) record('W', inode, (uint64_t)at, 0, bytes, (size_t)wrote);
    pthread_mutex_unlock(&order);
    errno = error;
    return wrote;
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { return pwrite_real(fd, bytes, count, at); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite_real(fd, bytes, count, at); }

/* Logged before it leaves: from here on somebody may have heard it. */
static void sent(int fd, const void *bytes, size_t count) {
    if (log_fd < 0 || fd < 0 || fd >= FDS || inodes[fd] || fd <= 2) return;
    if (!sockets[fd]) {
        struct stat found;
        sockets[fd] = !fstat(fd, &found) && S_ISSOCK(found.st_mode) ? 1 : 2;
    }
    if (sockets[fd] != 1) return;
    take_turn();
    record('S', (uint64_t)fd, 0, 0, bytes, count < SENT ? count : SENT);
    pthread_mutex_unlock(&order);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    uint64_t inode = known(fd);
    if (!inode) {
        sent(fd, bytes, count);
        return real(fd, bytes, count);
    }
    take_turn();
    ssize_t wrote = real(fd, bytes, shortened(count));
    int error = errno;
    off64_t end = lseek64(fd, 0, SEEK_CUR);
    if (wrote > 0) record('W', inode, (uint64_t)(end - wrote), 0, bytes, (size_t)wrote);
    pthread_mutex_unlock(&order);
    errno = error;
    return wrote;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (known(fd)) return count ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0;
    for (int i = 0; i < count; i++) sent(fd, parts[i].iov_base, parts[i].iov_len);
    return real(fd, parts, count);
}

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
    REAL(ssize_t, "send", int, const void *, size_t, int);
    sent(fd, bytes, count);
    return real(fd, bytes, count, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
    for (size_t i = 0; i < message->msg_iovlen; i++)
        sent(fd, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    return real(fd, message, flags);
}

static int sync_real(int fd, int (*real)(int)) {
    uint64_t inode = known(fd);
    if (!inode) return real(fd);
    if (slow_ms) {
        struct timespec wait = {slow_ms / 1000, slow_ms % 1000 * 1000000};
        nanosleep(&wait, NULL);
    }
    take_turn();
    uint64_t covered = log_end;
    pthread_mutex_unlock(&order);
    int result = real(fd);
    int error = errno;
    if (!result) {
        take_turn();
        record('Y', inode, covered, 0, NULL, 0);
        pthread_mutex_unlock(&order);
    }
    errno = error;
    return result;
}
int fsync(int fd) {
    REAL(int, "fsync", int);
    return sync_real(fd, real);
}
int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return sync_real(fd, real);
}

static int length_real(int fd, off64_t length, int only_grow, int (*call)(int, off64_t, off64_t)) {
    uint64_t inode = known(fd);
    if (!inode) return call(fd, 0, length);
    take_turn();
    int result = call(fd, 0, length);
    int error = errno;
    if (!result) record(only_grow ? 'G' : 'T', inode, (uint64_t)length, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    errno = error;
    return result;
}
static int cut(int fd, off64_t at, off64_t length) { (void)at; return (int)syscall(SYS_ftruncate, fd, length); }
int ftruncate64(int fd, off64_t length) { return length_real(fd, length, 0, cut); }
int ftruncate(int fd, off_t length) { return length_real(fd, length, 0, cut); }

int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    uint64_t inode = known(fd);
    if (!inode) return (int)syscall(SYS_fallocate, fd, mode, at, length);
    take_turn();
    int result = (int)syscall(SYS_fallocate, fd, mode, at, length);
    int error = errno;
    /* Bytes kept beyond the end are not seen; holes and other modes nobody uses here fail the self-check. */
    if (!result && !(mode & FALLOC_FL_KEEP_SIZE)) record('G', inode, (uint64_t)(at + length), 0, NULL, 0);
    pthread_mutex_unlock(&order);
    errno = error;
    return result;
}
int fallocate(int fd, int mode, off_t at, off_t length) { return fallocate64(fd, mode, at, length); }
int posix_fallocate64(int fd, off64_t at, off64_t length) { return fallocate64(fd, 0, at, length) ? errno : 0; }
int posix_fallocate(int fd, off_t at, off_t length) { return fallocate64(fd, 0, at, length) ? errno : 0; }

/* Names. */
static int removed(int dir, const char *path, int flags, int (*call)(int, const char *, int)) {
    char full[PATH_MAX];
    whole(dir, path, full);
    if (!below(full)) return call(dir, path, flags);
    take_turn();
    int result = call(dir, path, flags);
    int error = errno;
    if (!result) record('U', 0, 0, 0, full, strlen(full));
    pthread_mutex_unlock(&order);
    errno = error;
    return result;
}
static int unlink_raw(int dir, const char *path, int flags) { return (int)syscall(SYS_unlinkat, dir, path, flags); }
int unlink(const char *path) { return removed(AT_FDCWD, path, 0, unlink_raw); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR, unlink_raw); }
int unlinkat(int dir, const char *path, int flags) { return removed(dir, path, flags, unlink_raw); }

int mkdirat(int dir, const char *path, mode_t mode) {
    char full[PATH_MAX];
    whole(dir, path, full);
    if (!below(full)) return (int)syscall(SYS_mkdirat, dir, path, mode);
    take_turn();
    int result = (int)syscall(SYS_mkdirat, dir, path, mode);
    int error = errno;
    if (!result) record('D', inode_at(full), 0, 0, full, strlen(full));
    pthread_mutex_unlock(&order);
    errno = error;
    return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char one[PATH_MAX], both[2 * PATH_MAX];
    whole(from_dir, from, one);
    whole(to_dir, to, both);
    if (!below(one) && !below(both)) return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    take_turn();
    int result = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    int error = errno;
    if (!result) {
        size_t first = strlen(one), second = strlen(both);
        memmove(both + first + 1, both, second);
        memcpy(both, one, first + 1);
        record(flags & RENAME_EXCHANGE ? 'X' : 'R', 0, 0, 0, both, first + 1 + second);
    }
    pthread_mutex_unlock(&order);
    errno = error;
    return result;
}
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    return renameat2(from_dir, from, to_dir, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* Clocks. */
int clock_gettime(clockid_t id, struct timespec *now) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int result = real(id, now);
    if (!result && clock_off && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += *clock_off;
    return result;
}
int gettimeofday(struct timeval *now, void *zone) {
    REAL(int, "gettimeofday", struct timeval *, void *);
    int result = real(now, zone);
    if (!result && clock_off) now->tv_sec += *clock_off;
    return result;
}
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
