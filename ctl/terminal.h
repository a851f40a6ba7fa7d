/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The terminal that output goes to: colours, width, the pager. It follows systemd's tools, with the same environment
 * variables.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether stdout may have colours: $SYSTEMD_COLORS, else a terminal that is not dumb, and no $NO_COLOR. */
bool terminal_colors(void);

/* Columns of the terminal that stdout, or the pager, writes to; 0: there is no terminal, so no line is too long. */
size_t terminal_width(void);

/*
 * Starts $SYSTEMD_PAGER, $PAGER or less between stdout and the terminal. Does nothing if stdout is not a terminal, if
 * the user wants no pager, or if no pager can be run.
 */
void pager_start(void);

/* Waits until the user has left the pager. */
void pager_end(void);
