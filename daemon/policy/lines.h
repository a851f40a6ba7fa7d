/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of configuration files: inih splits them into sections, keys and values; what is wrong in them is reported
 * here. */
#pragma once

#include <stddef.h>

struct source;

/* Parses @size bytes of the loader's buffer, the content of @source->file, into @source's target. */
void parse_source(struct source *source, size_t size);
