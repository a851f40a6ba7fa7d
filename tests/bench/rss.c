/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make bench: what an event of rss_stat costs in the handler of the daemon whose pid is argv[1], beside an empty
 * handler and, if it is installed, bpftrace's count by cgroup and member. All of them are attached to the same events,
 * and the kernel's own statistics of BPF programs say how long each took. Prints medians; judges nothing. Needs root.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "tests/bench/median.h"

#define ROUNDS     11
#define ROUND_MSEC 200
#define PAGES      4096
#define WAIT_SEC   20

#define SCRIPT "tracepoint:kmem:rss_stat { @[cgroup, args->member] = count(); }"

enum handler { EMPTY, OURS, BPFTRACE, HANDLERS };

static const char *const names[HANDLERS] = { "empty", "bpfbudgetd", "bpftrace" };

/* No configuration of this machine. */
static char directory[] = "/tmp/bpfbudget-rss-XXXXXX";

static void end(int status)
{
        rmdir(directory);
        exit(status);
}

static void die(const char *what)
{
        fprintf(stderr, "rss: %s: %s\n", what, strerror(errno));
        end(1);
}

/* --- Handlers ----------------------------------------------------------------------------------------------------- */

/* A handler that is attached: its program, and what it lives by. */
struct attached {
        int program;
        int link;  /* or -1 */
        pid_t pid; /* or 0 */
};

static struct attached attach_empty(void)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP,
                        .attach_btf_id = libbpf_find_vmlinux_btf_id("rss_stat", BPF_TRACE_RAW_TP));
        struct attached empty = { .program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", return_0, 2, &opts) };

        empty.link = empty.program < 0 ? -1 : bpf_raw_tracepoint_open(NULL, empty.program);
        if (empty.link < 0)
                die("an empty handler of rss_stat");
        return empty;
}

/* The id of the program behind the descriptor of @pid that fdinfo's @name describes; 0: it is none. */
static __u32 program_in(pid_t pid, const char *name)
{
        char path[64], line[256];
        unsigned int id = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", pid, name);
        file = fopen(path, "re");
        if (!file)
                return 0;
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "prog_id: %u", &id) == 1)
                        break;
        fclose(file);
        return id;
}

/* A descriptor of the handler that @pid has, or negative. */
static int find_program(pid_t pid)
{
        struct dirent *entry;
        char path[32];
        int found = -1;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
        dir = opendir(path);
        while (dir && found < 0 && (entry = readdir(dir))) {
                struct bpf_prog_info info = {};
                __u32 size = sizeof(info), id;

                id = isdigit((unsigned char) *entry->d_name) ? program_in(pid, entry->d_name) : 0;
                found = id ? bpf_prog_get_fd_by_id(id) : -1;
                if (found >= 0 && (bpf_obj_get_info_by_fd(found, &info, &size) < 0 ||
                                                  strcmp(info.name, "rss_stat") != 0)) {
                        close(found);
                        found = -1;
                }
        }
        if (dir)
                closedir(dir);
        return found;
}

/* Its list of tracepoints is in a file system that is not mounted everywhere. */
static void mount_tracefs(void)
{
        if (access("/sys/kernel/tracing/events", F_OK) < 0 && unshare(CLONE_NEWNS) == 0 &&
                        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
                mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
}

/* Runs @argv, and waits until its handler is there. Its program is negative if it ends without. */
static struct attached attach_by(char *const argv[])
{
        struct attached by = { .link = -1, .pid = fork() };

        if (by.pid < 0)
                die("fork");
        if (by.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                mount_tracefs();
                if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
                        _exit(1);
                execvp(argv[0], argv);
                _exit(1);
        }
        for (int i = 0; i < WAIT_SEC * 20; i++) {
                by.program = find_program(by.pid);
                if (by.program >= 0)
                        return by;
                usleep(50000);
                if (waitpid(by.pid, NULL, WNOHANG) == by.pid)
                        by.pid = 0;
                if (by.pid == 0)
                        break;
        }
        return by;
}

static struct attached attach(enum handler handler, char *daemon)
{
        char config[64], socket[64];

        snprintf(config, sizeof(config), "--config=%s", directory);
        snprintf(socket, sizeof(socket), "--socket=%s/socket", directory);
        if (handler == EMPTY)
                return attach_empty();
        if (handler == OURS)
                return attach_by((char *[]){ daemon, config, socket, NULL });
        return attach_by((char *[]){ "bpftrace", "-e", SCRIPT, NULL });
}

static void detach(struct attached *attached)
{
        if (attached->link >= 0)
                close(attached->link);
        if (attached->program >= 0)
                close(attached->program);
        if (attached->pid <= 0)
                return;
        kill(attached->pid, SIGINT);
        waitpid(attached->pid, NULL, 0);
}

/* --- Rounds ------------------------------------------------------------------------------------------------------- */

static double now_msec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

/* Page faults for ROUND_MSEC, in a process of its own. */
static void fault(void)
{
        size_t size = PAGES * getpagesize();
        double end = now_msec() + ROUND_MSEC;
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid > 0) {
                waitpid(pid, NULL, 0);
                return;
        }
        while (now_msec() < end) {
                char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (memory == MAP_FAILED)
                        _exit(1);
                madvise(memory, size, MADV_NOHUGEPAGE);
                for (size_t i = 0; i < size; i += getpagesize())
                        memory[i] = 1;
                munmap(memory, size);
        }
        _exit(0);
}

struct figure {
        double events, nsec;
};

static struct figure read_figure(int fd)
{
        struct bpf_prog_info info = {};
        __u32 size = sizeof(info);

        if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                die("the statistics of a program");
        return (struct figure){ .events = info.run_cnt, .nsec = info.run_time_ns };
}

static void print_row(const char *name, double *nsec)
{
        double middle = median(nsec, ROUNDS);

        printf("rss_stat, %-10s %6.1f ns an event (%.1f to %.1f)\n", name, middle, nsec[0], nsec[ROUNDS - 1]);
}

/* Nanoseconds an event in @handler; negative: it is not there. */
static double measure(enum handler handler, char *daemon)
{
        struct attached attached = attach(handler, daemon);
        struct figure before, after;

        if (attached.program < 0) {
                detach(&attached);
                return -1;
        }
        fault();
        before = read_figure(attached.program);
        fault();
        after = read_figure(attached.program);
        detach(&attached);
        return (after.nsec - before.nsec) / (after.events - before.events);
}

int main(int argc, char *argv[])
{
        double nsec[HANDLERS][ROUNDS], ratios[ROUNDS];
        bool missing[HANDLERS] = {};

        if (argc != 2) {
                fprintf(stderr, "usage: rss DAEMON\n");
                return 2;
        }
        if (!mkdtemp(directory) || bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
                die("statistics of BPF programs");
        for (int i = 0; i < ROUNDS; i++) {
                for (int k = 0; k < HANDLERS; k++) {
                        nsec[k][i] = missing[k] ? -1 : measure(k, argv[1]);
                        missing[k] = nsec[k][i] < 0;
                }
                ratios[i] = (nsec[OURS][i] - nsec[EMPTY][i]) / (nsec[BPFTRACE][i] - nsec[EMPTY][i]);
        }
        for (int k = 0; k < HANDLERS; k++)
                if (missing[k])
                        printf("rss_stat: %s does not attach a handler here\n", names[k]);
                else
                        print_row(names[k], nsec[k]);
        if (!missing[OURS] && !missing[BPFTRACE]) {
                double middle = median(ratios, ROUNDS);

                printf("rss_stat, net of an empty handler, against bpftrace's: %.2f (%.2f to %.2f)\n", middle,
                                ratios[0], ratios[ROUNDS - 1]);
        }
        end(0);
}
