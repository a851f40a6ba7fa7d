/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the configuration, and logs what is wrong with it. */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "policy/config.h"

/* What was wrong. */
struct config_log {
        size_t errors, warnings;
        json_t *texts, *warning_texts; /* arrays that they are added to; NULL: they are only logged */
};

/*
 * Reads the configuration, from @directory or the system's (NULL). Returns 0; -EINVAL: it has errors; another negative
 * errno. All that is wrong is logged, and counted in @log.
 */
int load_config(const char *directory, struct config *config, struct config_log *log);
