/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A moment as people write it on the command line, in a simple form of systemd.time(7). */
#pragma once

#include <stdint.h>

/*
 * Sets *usec, since 1970, to the moment that @text means at @now: "2026-11-24 10:00", "2026-11-24T10:00:30Z",
 * "2026-11-24", "10:00", "@1796101200", "now", "today", "yesterday", "tuesday" or "tue" (the beginning of the last such
 * day), "-3d", "2h 30min ago". Times are local, unless "Z" or " UTC" is at the end. Returns 0 or -EINVAL.
 */
int when_parse(const char *text, uint64_t now, uint64_t *usec);

#define WHEN_EXPECTED "a time such as 2026-11-24 10:00, yesterday, tuesday, \"2h ago\" or -3d"
