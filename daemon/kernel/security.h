/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel was booted with: its security modules and options; and the capabilities(7) of this process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether bpf is among the active LSMs; without it, programs can be attached to LSM hooks but are never called. */
bool security_has_bpf(void);

/*
 * Why programs cannot read the kernel's memory; NULL: they can, or it is not known. With lockdown=confidentiality the
 * verifier does not know bpf_probe_read_kernel() (security/lockdown/lockdown.c, LOCKDOWN_BPF_READ_KERNEL); it still
 * accepts empty programs.
 */
const char *security_obstacle(void);

/* Writes the names of the active LSMs, separated by commas, into @list of @size bytes; "" if they are not known. */
void security_list(char *list, size_t size);

/* Whether @word is in the value of @option, such as "cgroup_disable=", on the kernel's command line. */
bool security_boot_option(const char *option, const char *word);

/* The effective capabilities of this process, one bit each; 0 if they cannot be read. */
uint64_t security_own_capabilities(void);
