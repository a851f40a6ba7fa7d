/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Budgets that are set at run time: budget files of one cgroup each, whose names sort before all others. */
#pragma once

#include <stdbool.h>

#include "policy/config.h"

/*
 * Whether @budget is one of them: its file lies in @directory and has such a name.
 */
bool runtime_is(const char *directory, const struct budget *budget);

/* The file of the budget of the cgroup at @path, to be freed; NULL: no memory. */
char *runtime_file(const char *directory, const char *path);

/*
 * Writes the budget of the cgroup at @path: what in @budget is not a match is its budget. The file is there whole or
 * not at all. *before is what it was, to be given to runtime_restore() and freed by that. Returns 0; -EINVAL or
 * -ENAMETOOLONG: no budget file can name that path (as glob_escape()); another negative errno.
 */
int runtime_write(const char *directory, const char *path, const struct budget *budget, char **before);

/* Removes it. Returns 0; -ENOENT: there is none; another negative errno. */
int runtime_remove(const char *directory, const char *path, char **before);

/* Makes the file of @path what it was (@before; NULL: it was not there), and frees that. Returns as runtime_write(). */
int runtime_restore(const char *directory, const char *path, char *before);
