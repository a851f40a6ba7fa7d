/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that people read: messages in the journal and on stderr, and the output of bpfbudgetctl. Anybody can choose the
 * names in it. Output for programs (JSON, fields of the journal) has the exact bytes instead.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a message shows of a path, in bytes, with the NUL. */
#define TEXT_PATH_SIZE 512

/*
 * Whether @character, of utf8_decode(), changes nothing but the place that it takes: it is no control character (C0,
 * C1, DEL, separators of lines and paragraphs), sets no direction, is not invisible, and is valid.
 */
bool character_is_plain(uint32_t character);

/*
 * Writes @text into @buffer, @size (>= 16) bytes: as one line of valid UTF-8. Each byte of a
 * character that is not plain, and each that is none, becomes "?". Of a text that is too long the middle is replaced by
 * "…": the last two thirds of what there is room for are its end, which tells most of a path. Returns @buffer.
 */
char *text_plain(const char *text, char *buffer, size_t size);
