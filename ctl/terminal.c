/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-login.h>

#include "base/log.h"

static pid_t pager_pid;

/* A truth value as systemd parses it; -1: @text is not one. */
static int parse_boolean(const char *text)
{
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off" };

        for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
                if (strcasecmp(text, yes[i]) == 0)
                        return 1;
                if (strcasecmp(text, no[i]) == 0)
                        return 0;
        }
        return -1;
}

static bool stdout_is_terminal(void)
{
        return pager_pid > 0 || isatty(STDOUT_FILENO);
}

/* SYSTEMD_COLORS= is a truth value or a number of colours ("16", "256", "24bit"); NO_COLOR: https://no-color.org/ */
bool terminal_colors(void)
{
        const char *colors = getenv("SYSTEMD_COLORS"), *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

        if (colors && *colors)
                return parse_boolean(colors) != 0;
        if (no_color && *no_color)
                return false;
        return stdout_is_terminal() && term && strcmp(term, "dumb") != 0;
}

size_t terminal_width(void)
{
        const char *columns = getenv("COLUMNS");
        struct winsize size;

        if (!stdout_is_terminal())
                return 0;
        if (columns && atoi(columns) > 0)
                return atoi(columns);
        /* With a pager, stdout is a pipe, but stderr is usually still the terminal. */
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
                return size.ws_col;
        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
                return size.ws_col;
        return 80;
}

/*
 * Whether the pager must not give its user more privileges. It runs in secure mode unless the owner of the login
 * session runs this program, or the environment overrides this. sudo does not change the owner of the session.
 */
static bool pager_secure(void)
{
        const char *secure = getenv("SYSTEMD_PAGERSECURE");
        uid_t owner;

        if (secure && parse_boolean(secure) >= 0)
                return parse_boolean(secure);
        return sd_pid_get_owner_uid(0, &owner) >= 0 && owner != geteuid();
}

static const char *pager_command(bool secure)
{
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");

        /* Another pager may let its user run commands. */
        if (!pager || (secure && strcmp(pager, "cat") != 0 && *pager))
                return "less";
        return pager;
}

static void exec_pager(const char *command, bool secure, int fd)
{
        /* As for systemctl: quit if the output fits, do not clear the screen, pass colours through. */
        setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        setenv("LESSCHARSET", getenv("SYSTEMD_LESSCHARSET") ?: "utf-8", 1);
        if (secure)
                setenv("LESSSECURE", "1", 1);
        if (dup2(fd, STDIN_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
                _exit(EXIT_FAILURE);
        if (strcmp(command, "less") == 0)
                execlp("less", "less", NULL);
        else
                execl("/bin/sh", "sh", "-c", command, NULL);
        /* less is not installed: copy the output. */
        execlp("cat", "cat", NULL);
        _exit(EXIT_FAILURE);
}

void pager_start(void)
{
        bool secure = pager_secure();
        const char *command = pager_command(secure);
        const char *term = getenv("TERM");
        int fds[2];

        if (pager_pid > 0 || !isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0)
                return;
        if (!*command || strcmp(command, "cat") == 0)
                return;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        pager_pid = fork();
        if (pager_pid == 0)
                exec_pager(command, secure, fds[0]);
        close(fds[0]);
        if (pager_pid < 0 || dup2(fds[1], STDOUT_FILENO) < 0)
                log_error("The pager cannot be started: %s", strerror(errno));
        close(fds[1]);
}

void pager_end(void)
{
        if (pager_pid <= 0)
                return;
        fflush(stdout);
        /* The end of the pager's input. */
        if (freopen("/dev/null", "w", stdout))
                while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        pager_pid = 0;
}
