/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages about errors in the configuration. */
#pragma once

#include <stdbool.h>

/*
 * Reports one error in @line of @file (0: the file as a whole), described by one line of valid UTF-8. @fatal is false
 * for a warning.
 */
typedef void (*config_message_t)(void *context, const char *file, unsigned int line, bool fatal, const char *message);
