/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page of a report: HTML with its style and pictures in it, without scripts, which refers to nothing outside. */
#pragma once

#include <stdio.h>

#include "reportdata.h"

/* Writes the page to @stream. Returns 0 or -ENOMEM. The rows of @report get members for tables. */
int reportpage_write(FILE *stream, struct report *report);
