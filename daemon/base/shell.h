/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text in a command that is to be pasted into a shell. */
#pragma once

/*
 * @text quoted so that a shell takes it literally, to be freed; NULL: no memory. It is printable ASCII: with other
 * bytes in @text, such as newlines, it has the form $'a\012b', which bash, zsh and POSIX.1-2024 know.
 */
char *shell_quote(const char *text);
