/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Budgets that are set at run time: budget files of one cgroup each, whose names sort before all others. */
#pragma once

#include <stdbool.h>

#include "policy/config.h"

/* Whether @budget was set at run time: its file is in @directory, and has such a name. */
bool runtime_is(const char *directory, const struct budget *budget);

/* The file of the budget of the cgroup at @path, to be freed; NULL: no memory. */
char *runtime_file(const char *directory, const char *path);

/*
 * Writes the budget of the cgroup at @path: the fields of @budget except its matches. The file is replaced atomically.
 * *before is the previous content, for runtime_restore(), which frees it. Returns 0; -EINVAL or -ENAMETOOLONG: no
 * budget file can name that path (as glob_escape()); another negative errno.
 */
int runtime_write(const char *directory, const char *path, const struct budget *budget, char **before);

/* Removes the budget of the cgroup at @path. Returns 0; -ENOENT: there is none; another negative errno. */
int runtime_remove(const char *directory, const char *path, char **before);

/*
 * Restores the file of @path to its previous content (@before; NULL: it did not exist), and frees @before. Returns as
 * runtime_write().
 */
int runtime_restore(const char *directory, const char *path, char *before);
