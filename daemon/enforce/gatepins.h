/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pins of the gate in GATE_DIRECTORY, by name: tables and links, by which the gate goes on when the daemon does
 * not. One process at a time works with them. What is pinned is gate.c's business.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <bpf/libbpf.h>

#include "kernel/host.h"

/* Where links and tables are pinned. */
#define GATE_DIRECTORY BPFFS "/bpfbudget"

/* Of one process at a time. Nobody but root can open it, and so lock it. */
#define GATE_LOCK_FILE "/run/bpfbudget/gate.lock"

/*
 * Takes the lock of whoever works with the pins; it goes with the process. Returns 0, also where there is no bpffs and
 * so no pins, or -EBUSY: another process has the gate.
 */
int gate_pins_lock(void);
void gate_pins_unlock(void);
/* Which process that is; 0: not known. */
pid_t gate_pins_holder(void);

/* Whether there is a bpffs to pin on. */
bool gate_pins_mounted(void);

/*
 * Has the pinned gate admit everything: the kernel detaches programs one by one, a while after their pins are gone. The
 * settings may be those of another version.
 */
void gate_pins_stop_enforcing(void);

/* Removes all pins. Returns how many there were, or a negative errno, logged. */
int gate_pins_remove(void);

/*
 * Removes what is pinned by other names. Another version may have had programs that this one does not replace: they
 * would go on, with tables that nobody keeps.
 */
void gate_pins_remove_others(bool (*is_kept)(const char *name));

/* Pins the object @fd beside what is pinned as @name. Returns 0 or a negative errno. */
int gate_pin_beside(int fd, const char *name);

/* Has what gate_pin_beside() pinned replace what is pinned as @name; @fd is not used. Returns 0 or a negative errno. */
int gate_pin_put_in_place(int fd, const char *name);

/*
 * Opens the table that a predecessor has pinned by the name of @map. Returns a file descriptor; -ENOENT: there is none;
 * -EUCLEAN: it is not what this version can use; -E2BIG: it is smaller than this daemon wants it; another negative
 * errno.
 */
int gate_pin_open_table(const struct bpf_map *map);
