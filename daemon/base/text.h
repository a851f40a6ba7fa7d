/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that people read: messages in the journal and on stderr, and the output of bpfbudgetctl. The names in it can be
 * chosen by anybody. Output for programs (JSON, fields of the journal) contains the exact bytes instead.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The maximum length of a path in a message, in bytes, with the NUL. */
#define TEXT_PATH_SIZE 512

/*
 * Whether @character, from utf8_decode(), is valid and affects only its own place on the screen: it is not a control
 * character (C0, C1, DEL, separators of lines and paragraphs), does not set a direction, and is not invisible.
 */
bool character_is_plain(uint32_t character);

/*
 * Writes @text into @buffer of @size (>= 16) bytes as one line of valid UTF-8. Each byte of a character that is not
 * plain, and each byte that is not UTF-8, becomes "?". In a text that is too long, "…" replaces the middle; two thirds
 * of the room are for its end, which is the most significant part of a path. Returns @buffer.
 */
char *text_plain(const char *text, char *buffer, size_t size);
