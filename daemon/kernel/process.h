/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc tells of a process: which program it runs. The process may end at any time. */
#pragma once

#include <stdint.h>

/*
 * The build id of the program that process @pid runs, in hexadecimal; "" if there is none, or if the program is on a
 * file system without a block device, where reading could block forever. Returns @buffer.
 */
#define BUILD_ID_MAX 41
char *read_build_id(uint32_t pid, char buffer[BUILD_ID_MAX]);

/* The path of the program that process @pid runs, as the process sees it; to be freed. NULL: unknown. */
char *read_exe(uint32_t pid);
