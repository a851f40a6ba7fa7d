/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uthash, but an addition that finds no memory is an answer instead of exit(). */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Whether HASH_ADD of @element took place: uthash clears the table pointer of what it could not add. */
#define HASH_ADDED(element) ((element)->hh.tbl != NULL)
