/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pins of the gate in GATE_DIRECTORY, by name: tables and links, which keep the gate in force when the daemon does
 * not run. Only one process at a time uses them. gate.c decides what is pinned.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <bpf/libbpf.h>

#include "kernel/host.h"

/* Where links and tables are pinned. */
#define GATE_DIRECTORY BPFFS "/bpfbudget"

/* Locked by one process at a time. Only root can open it, and so lock it. */
#define GATE_LOCK_FILE "/run/bpfbudget/gate.lock"

/*
 * Takes the lock for the use of the pins, which the process holds until it ends. Returns 0, also if there is no bpffs
 * and so no pins, or -EBUSY: another process has the gate.
 */
int gate_pins_lock(void);
void gate_pins_unlock(void);
/* The PID of the process that has the lock; 0: not known. */
pid_t gate_pins_holder(void);

/* Whether there is a bpffs to pin on. */
bool gate_pins_mounted(void);

/*
 * Makes the pinned gate admit everything, because the kernel detaches programs one by one, some time after their pins
 * are gone. The settings may be those of another version.
 */
void gate_pins_stop_enforcing(void);

/* Removes all pins. Returns how many there were, or a negative errno, logged. */
int gate_pins_remove(void);

/*
 * Removes pins of other names. Another version may have had programs that this one does not replace: they would
 * continue to run, with tables that nobody updates.
 */
void gate_pins_remove_others(bool (*is_kept)(const char *name));

/* Pins the object @fd under a temporary name, next to @name. Returns 0 or a negative errno. */
int gate_pin_beside(int fd, const char *name);

/*
 * Renames the pin that gate_pin_beside() made to @name, which replaces an existing pin; @fd is not used. Returns 0 or a
 * negative errno.
 */
int gate_pin_put_in_place(int fd, const char *name);

/*
 * Opens the table that a predecessor has pinned by the name of @map. Returns a file descriptor; -ENOENT: there is none;
 * -EUCLEAN: this version cannot use it; -E2BIG: it is smaller than this daemon requires; another negative errno.
 */
int gate_pin_open_table(const struct bpf_map *map);
