/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/security.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/cleanup.h"

void security_list(char *list, size_t size)
{
        _cleanup_fclose_ FILE *file = fopen("/sys/kernel/security/lsm", "re");

        if (!file || !fgets(list, size, file))
                *list = '\0';
        list[strcspn(list, "\n")] = '\0';
}

bool security_has_bpf(void)
{
        char list[1024], *rest = list;
        const char *name;

        security_list(list, sizeof(list));
        while ((name = strsep(&rest, ",")))
                if (strcmp(name, "bpf") == 0)
                        return true;
        return false;
}

const char *security_obstacle(void)
{
        _cleanup_fclose_ FILE *file = fopen("/sys/kernel/security/lockdown", "re");
        char mode[64];

        while (file && fscanf(file, "%63s", mode) == 1)
                if (strcmp(mode, "[confidentiality]") == 0)
                        return "lockdown=confidentiality: the kernel's memory must not be read, and nothing else tells "
                               "what BPF objects take; boot with lockdown=integrity";
        return NULL;
}

uint64_t security_own_capabilities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

        if (syscall(SYS_capget, &header, data) < 0)
                return 0;
        return (uint64_t) data[1].effective << 32 | data[0].effective;
}

bool security_boot_option(const char *option, const char *word)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/cmdline", "re");
        _cleanup_free_ char *line = NULL;
        const char *text;
        size_t size = 0;

        if (!file || getline(&line, &size, file) < 0)
                return false;
        text = strstr(line, option);
        return text && memmem(text, strcspn(text, " \n"), word, strlen(word));
}
