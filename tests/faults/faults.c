/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into the daemon by tests/faults/run: makes one call fail, of its own, of libbpf, of jansson, of libevent
 * and of the C library. It is the FAULT_AT-th of its kind, FAULT_KIND (the names are in kinds[]); what it was is
 * written to FAULT_LOG. With FAULT_RECORD= nothing fails: that file has a line "KIND N" for each call that comes by a
 * way, the last callers, by which none of its kind has come.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/bpf.h>

enum kind { KIND_MEMORY, KIND_DESCRIPTOR, KIND_BPF, KIND_FILE, KIND_SOCKET, KIND_THREAD, KINDS };

static const char *const kinds[KINDS] = { "memory", "descriptor", "bpf", "file", "socket", "thread" };

/* So many callers tell one way to a call from another. */
#define WAY_DEPTH 5
/* This file's own frames: fails() and the function that asks it. */
#define OWN_FRAMES 2

static atomic_uint counts[KINDS];
static int wanted = -1; /* enum kind */
static unsigned int wanted_at;
static int record_fd = -1;
static bool armed;
/* What is called from here is not counted. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* The next definition of a function: the C library's, or a sanitizer's. */
#define NEXT(name) ((__typeof__(&name)) next_of(#name))
#define REAL(name)                             \
        ({                                     \
                static __typeof__(&name) real; \
                if (!real)                     \
                        real = NEXT(name);     \
                real;                          \
        })

static void *next_of(const char *name)
{
        bool before = inside;
        void *function;

        inside = true;
        function = dlsym(RTLD_NEXT, name);
        inside = before;
        if (!function)
                abort();
        return function;
}

/* --- Which call it is -----------------------------------------------------------------------------------------------
 */

/* Whether the way that has this hash is new. The lock is a spin lock, for malloc(). */
static bool is_new(uint64_t hash)
{
        static atomic_flag lock = ATOMIC_FLAG_INIT;
        static uint64_t seen[1 << 15];
        size_t slots = sizeof(seen) / sizeof(seen[0]), i = hash % slots;
        bool new;

        while (atomic_flag_test_and_set(&lock))
                ;
        while (seen[i] && seen[i] != hash)
                i = (i + 1) % slots;
        new = !seen[i];
        seen[i] = hash;
        atomic_flag_clear(&lock);
        return new;
}

/* Whether one of the first callers is a sanitizer's: it does not bear what it does not expect. */
static bool is_sanitizers(void *const *frames, int n)
{
        for (int i = OWN_FRAMES + 1; i < n; i++) {
                Dl_info info;

                if (dladdr(frames[i], &info) && info.dli_fname && strstr(info.dli_fname, "/libasan.so"))
                        return true;
        }
        return false;
}

static void record(enum kind kind, unsigned int at)
{
        void *frames[OWN_FRAMES + WAY_DEPTH + 1];
        int n = backtrace(frames, OWN_FRAMES + WAY_DEPTH + 1), length;
        uint64_t hash = kind + 1;
        char line[64];

        for (int i = OWN_FRAMES + 1; i < n; i++)
                hash = (hash ^ (uintptr_t) frames[i]) * 0x100000001b3;
        if (!is_new(hash ?: 1) || is_sanitizers(frames, n))
                return;
        length = snprintf(line, sizeof(line), "%s %u\n", kinds[kind], at);
        if (syscall(SYS_write, record_fd, line, length) != length)
                abort();
}

/* Whether it is for getgrnam(), where glibc itself ends the process: "cannot allocate memory for thread-local data",
 * and an assertion in nss_database.c. */
static bool is_fatal(void *const *frames, int n)
{
        for (int i = OWN_FRAMES; i < n; i++) {
                Dl_info info;

                if (dladdr(frames[i], &info) && info.dli_sname && strcmp(info.dli_sname, "getgrnam") == 0)
                        return true;
        }
        return false;
}

/* Returns whether it is to fail. */
static bool tell(enum kind kind, const char *function)
{
        const char *path = getenv("FAULT_LOG");
        void *frames[24];
        int n = backtrace(frames, 24), fd;

        if (is_sanitizers(frames, n < OWN_FRAMES + WAY_DEPTH + 1 ? n : OWN_FRAMES + WAY_DEPTH + 1) ||
                        (kind == KIND_MEMORY && is_fatal(frames, n)))
                return false;
        fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        if (fd < 0)
                return true;
        dprintf(fd, "%s %u: %s failed\n", kinds[kind], wanted_at, function);
        backtrace_symbols_fd(frames + OWN_FRAMES, n - OWN_FRAMES, fd);
        syscall(SYS_close, fd);
        return true;
}

/* Whether this call of @kind is the one. */
static __attribute__((noinline)) bool fails(enum kind kind, const char *function)
{
        int saved_errno = errno;
        unsigned int at;
        bool fail = false;

        if (!armed || inside)
                return false;
        if (wanted != (int) kind && record_fd < 0)
                return false;
        at = atomic_fetch_add(&counts[kind], 1) + 1;
        inside = true;
        if (record_fd >= 0)
                record(kind, at);
        else if (at == wanted_at)
                fail = tell(kind, function);
        inside = false;
        errno = saved_errno;
        return fail;
}

static __attribute__((constructor)) void start(void)
{
        const char *record_path = getenv("FAULT_RECORD"), *kind = getenv("FAULT_KIND"), *at = getenv("FAULT_AT");
        void *frames[1];

        inside = true;
        /* It loads a library when it is called first. */
        backtrace(frames, 1);
        inside = false;
        if (record_path)
                record_fd = syscall(SYS_openat, AT_FDCWD, record_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        for (int i = 0; kind && i < KINDS; i++)
                if (strcmp(kinds[i], kind) == 0)
                        wanted = i;
        wanted_at = at ? strtoul(at, NULL, 10) : 0;
        armed = record_fd >= 0 || (wanted >= 0 && wanted_at > 0);
}

/* FAIL(KIND, ERRNO, RESULT): what a function begins with that may fail so. */
#define FAIL(kind, error, result)            \
        do {                                 \
                if (fails(kind, __func__)) { \
                        errno = error;       \
                        return result;       \
                }                            \
        } while (0)

/* --- Memory ---------------------------------------------------------------------------------------------------------
 */

/* dlsym() may need some before it has said where malloc() is. */
static char early[4096];
static size_t early_used;

static bool is_early(const void *memory)
{
        return (const char *) memory >= early && (const char *) memory < early + sizeof(early);
}

static void *early_memory(size_t size)
{
        void *memory = early + early_used;

        early_used += (size + 15) / 16 * 16;
        return early_used <= sizeof(early) ? memory : NULL;
}

/* Where malloc() and its like are; NULL while that is being found out. */
#define MEMORY(name)                           \
        ({                                     \
                static __typeof__(&name) real; \
                static bool looking;           \
                if (!real && !looking) {       \
                        looking = true;        \
                        real = NEXT(name);     \
                }                              \
                real;                          \
        })

void *malloc(size_t size)
{
        __typeof__(&malloc) next = MEMORY(malloc);

        if (!next)
                return early_memory(size);
        FAIL(KIND_MEMORY, ENOMEM, NULL);
        return next(size);
}

void *calloc(size_t count, size_t size)
{
        __typeof__(&calloc) next = MEMORY(calloc);

        if (!next)
                return early_memory(count * size);
        FAIL(KIND_MEMORY, ENOMEM, NULL);
        return next(count, size);
}

void *realloc(void *memory, size_t size)
{
        FAIL(KIND_MEMORY, ENOMEM, NULL);
        return REAL(realloc)(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
        FAIL(KIND_MEMORY, ENOMEM, NULL);
        return REAL(reallocarray)(memory, count, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
        if (fails(KIND_MEMORY, __func__))
                return ENOMEM;
        return REAL(posix_memalign)(memory, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
        FAIL(KIND_MEMORY, ENOMEM, NULL);
        return REAL(aligned_alloc)(alignment, size);
}

void free(void *memory)
{
        __typeof__(&free) next = MEMORY(free);

        /* What dlsym() frees while it looks for free() is left. */
        if (next && !is_early(memory))
                next(memory);
}

/* --- Descriptors ----------------------------------------------------------------------------------------------------
 */

#define MODE(flags, last)                            \
        ({                                           \
                mode_t mode_ = 0;                    \
                if ((flags) &O_CREAT) {              \
                        va_list ap_;                 \
                        va_start(ap_, last);         \
                        mode_ = va_arg(ap_, mode_t); \
                        va_end(ap_);                 \
                }                                    \
                mode_;                               \
        })

int open(const char *path, int flags, ...)
{
        FAIL(KIND_DESCRIPTOR, EMFILE, -1);
        return REAL(open)(path, flags, MODE(flags, flags));
}

int open64(const char *path, int flags, ...)
{
        FAIL(KIND_DESCRIPTOR, EMFILE, -1);
        return REAL(open64)(path, flags, MODE(flags, flags));
}

int openat(int directory, const char *path, int flags, ...)
{
        FAIL(KIND_DESCRIPTOR, EMFILE, -1);
        return REAL(openat)(directory, path, flags, MODE(flags, flags));
}

int openat64(int directory, const char *path, int flags, ...)
{
        FAIL(KIND_DESCRIPTOR, EMFILE, -1);
        return REAL(openat64)(directory, path, flags, MODE(flags, flags));
}

#define FCNTL(name)                                                   \
        int name(int fd, int command, ...)                            \
        {                                                             \
                va_list ap;                                           \
                void *argument;                                       \
                                                                      \
                va_start(ap, command);                                \
                argument = va_arg(ap, void *);                        \
                va_end(ap);                                           \
                if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) \
                        FAIL(KIND_DESCRIPTOR, EMFILE, -1);            \
                return REAL(name)(fd, command, argument);             \
        }

FCNTL(fcntl)
FCNTL(fcntl64)

/* FORWARD(KIND, ERRNO, BAD, RESULT, NAME, PARAMETERS, ARGUMENTS) */
#define FORWARD(kind, error, bad, result, name, parameters, arguments) \
        result name parameters                                         \
        {                                                              \
                FAIL(kind, error, bad);                                \
                return REAL(name) arguments;                           \
        }

FORWARD(KIND_DESCRIPTOR, EMFILE, NULL, FILE *, fopen, (const char *path, const char *mode), (path, mode))
FORWARD(KIND_DESCRIPTOR, EMFILE, NULL, FILE *, fopen64, (const char *path, const char *mode), (path, mode))
FORWARD(KIND_DESCRIPTOR, EMFILE, NULL, DIR *, opendir, (const char *path), (path))
FORWARD(KIND_DESCRIPTOR, EMFILE, NULL, DIR *, fdopendir, (int fd), (fd))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, dup, (int fd), (fd))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, dup3, (int fd, int new, int flags), (fd, new, flags))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, socket, (int domain, int type, int protocol), (domain, type, protocol))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, socketpair, (int domain, int type, int protocol, int fds[2]),
                (domain, type, protocol, fds))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, pipe2, (int fds[2], int flags), (fds, flags))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, epoll_create, (int size), (size))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, epoll_create1, (int flags), (flags))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, eventfd, (unsigned int value, int flags), (value, flags))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, timerfd_create, (clockid_t clock, int flags), (clock, flags))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, inotify_init1, (int flags), (flags))
FORWARD(KIND_DESCRIPTOR, ENOSPC, -1, int, inotify_add_watch, (int fd, const char *path, uint32_t mask),
                (fd, path, mask))
FORWARD(KIND_DESCRIPTOR, ENOSPC, -1, int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event),
                (fd, what, of, event))
FORWARD(KIND_DESCRIPTOR, EMFILE, -1, int, open_by_handle_at, (int mount, struct file_handle *handle, int flags),
                (mount, handle, flags))

/* --- Files and sockets ----------------------------------------------------------------------------------------------
 */

/* Whether @fd is a file of a disk, of /proc or of cgroups, or reads what the kernel makes for it: there are errors of
 * them. What the test itself reads, stdout and stderr, works. */
static bool is_file(int fd)
{
        struct stat st;

        return fd > STDERR_FILENO && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

static bool is_iterator(int fd)
{
        char name[64], text[64];
        ssize_t n;

        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        n = readlink(name, text, sizeof(text) - 1);
        if (n < 0)
                return false;
        text[n] = '\0';
        return strcmp(text, "anon_inode:bpf_iter") == 0;
}

/* A socket with somebody else at the other end: those of a pair have no names. */
static bool is_socket(int fd)
{
        struct sockaddr_storage address;
        socklen_t size = sizeof(address), other = sizeof(address);

        return fd > STDERR_FILENO && getsockname(fd, (struct sockaddr *) &address, &size) == 0 &&
               (size > sizeof(sa_family_t) || (getpeername(fd, (struct sockaddr *) &address, &other) == 0 &&
                                                              other > sizeof(sa_family_t)));
}

#define FAIL_TRANSFER(fd, error)                           \
        do {                                               \
                if (!armed || inside)                      \
                        break;                             \
                if (is_file(fd) || is_iterator(fd))        \
                        FAIL(KIND_FILE, error, -1);        \
                else if (is_socket(fd))                    \
                        FAIL(KIND_SOCKET, ECONNRESET, -1); \
        } while (0)

ssize_t read(int fd, void *data, size_t size)
{
        FAIL_TRANSFER(fd, EIO);
        return REAL(read)(fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
        FAIL_TRANSFER(fd, EIO);
        return REAL(pread)(fd, data, size, offset);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
        FAIL_TRANSFER(fd, EIO);
        return REAL(pread64)(fd, data, size, offset);
}

ssize_t readv(int fd, const struct iovec *vector, int count)
{
        FAIL_TRANSFER(fd, EIO);
        return REAL(readv)(fd, vector, count);
}

ssize_t write(int fd, const void *data, size_t size)
{
        FAIL_TRANSFER(fd, ENOSPC);
        return REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
        FAIL_TRANSFER(fd, ENOSPC);
        return REAL(pwrite)(fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *vector, int count)
{
        FAIL_TRANSFER(fd, ENOSPC);
        return REAL(writev)(fd, vector, count);
}

/* What a stream has not written yet is lost with it. */
int fclose(FILE *stream)
{
        int fd = fileno(stream);

        if (fd > STDERR_FILENO && armed && !inside && fails(KIND_FILE, __func__)) {
                REAL(fclose)(stream);
                errno = ENOSPC;
                return EOF;
        }
        return REAL(fclose)(stream);
}

FORWARD(KIND_FILE, EIO, NULL, struct dirent *, readdir, (DIR * directory), (directory))
FORWARD(KIND_FILE, EIO, NULL, struct dirent64 *, readdir64, (DIR * directory), (directory))
FORWARD(KIND_FILE, EIO, -1, int, fsync, (int fd), (fd))
FORWARD(KIND_FILE, ENOSPC, -1, int, ftruncate, (int fd, off_t size), (fd, size))
FORWARD(KIND_FILE, ENOSPC, -1, int, mkdir, (const char *path, mode_t mode), (path, mode))
FORWARD(KIND_FILE, ENOSPC, -1, int, rename, (const char *from, const char *to), (from, to))
FORWARD(KIND_FILE, ENOSPC, -1, int, renameat, (int from, const char *old, int to, const char *new),
                (from, old, to, new))
FORWARD(KIND_FILE, EIO, -1, int, unlink, (const char *path), (path))
FORWARD(KIND_FILE, EIO, -1, int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
FORWARD(KIND_FILE, EROFS, -1, int, chmod, (const char *path, mode_t mode), (path, mode))
FORWARD(KIND_FILE, EROFS, -1, int, chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
FORWARD(KIND_FILE, EROFS, -1, int, fchmod, (int fd, mode_t mode), (fd, mode))
FORWARD(KIND_SOCKET, EADDRINUSE, -1, int, bind, (int fd, const struct sockaddr *address, socklen_t size),
                (fd, address, size))
FORWARD(KIND_SOCKET, EADDRINUSE, -1, int, listen, (int fd, int backlog), (fd, backlog))
FORWARD(KIND_SOCKET, ECONNREFUSED, -1, int, connect, (int fd, const struct sockaddr *address, socklen_t size),
                (fd, address, size))
FORWARD(KIND_SOCKET, EMFILE, -1, int, accept, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size))
FORWARD(KIND_SOCKET, EMFILE, -1, int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags),
                (fd, address, size, flags))
FORWARD(KIND_SOCKET, ENOBUFS, -1, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
                (fd, message, flags))

/* --- The rest -------------------------------------------------------------------------------------------------------
 */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
        if (fails(KIND_THREAD, __func__))
                return EAGAIN;
        return REAL(pthread_create)(thread, attributes, function, argument);
}

static int bpf_error(long command)
{
        switch (command) {
        case BPF_MAP_GET_FD_BY_ID:
        case BPF_PROG_GET_FD_BY_ID:
        case BPF_LINK_GET_FD_BY_ID:
        case BPF_BTF_GET_FD_BY_ID:
        case BPF_OBJ_GET:
        case BPF_ITER_CREATE:
                return EMFILE;
        case BPF_OBJ_PIN:
                return ENOSPC;
        default:
                return ENOMEM;
        }
}

long syscall(long number, ...)
{
        long a[6];
        va_list ap;

        va_start(ap, number);
        for (int i = 0; i < 6; i++)
                a[i] = va_arg(ap, long);
        va_end(ap);
        if (number == SYS_bpf)
                FAIL(KIND_BPF, bpf_error(a[0]), -1);
        return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
