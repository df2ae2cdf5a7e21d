/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Foreign text in messages: arguments of calls, content of sysfs, output of other programs, names of processes
 * and domains, lines of files. A foreign text may be long, may be invalid UTF-8, and may have characters that
 * move the cursor or reverse the direction of writing.
 *
 * TEXT_QUOTE() makes one foreign text short and harmless. Use it in a message for each foreign text whose
 * length is not limited already. text_clean() makes a whole message harmless. Errors, hints and log lines pass
 * through text_clean(), so no control character and no endless text reaches the bus or the journal even if a
 * caller forgot TEXT_QUOTE(). */

#include <stddef.h>

#include "base/macros.h"

/* Largest number of characters of a quoted text, and the size of its buffer: an escaped character takes at most
 * 10 bytes. */
#define TEXT_QUOTE_MAX  96U
#define TEXT_QUOTE_SIZE (TEXT_QUOTE_MAX * 10 + sizeof "…")

/* Write at most `max` characters of the text to the buffer and return the buffer, with "…" if the text is
 * longer. Control characters, invalid bytes, line separators and characters that change the direction of
 * writing are escaped as \n, \x1b or \u202e. If `text` is NULL, the result is "". */
const char *text_quote(const char *text, size_t max, char *buffer, size_t size);

/* The quoted text in a buffer that lives as long as the enclosing block. */
#define TEXT_QUOTE(text) text_quote((text), TEXT_QUOTE_MAX, (char[TEXT_QUOTE_SIZE]){ 0 }, TEXT_QUOTE_SIZE)

/* Escape, in a whole message, the characters that text_quote() escapes. If the message is longer than `max`
 * bytes, cut it between two characters and append "…". Takes ownership of the text and returns this text or a
 * new one. */
char *text_clean(char *text, size_t max);

/* Largest message or hint of an error, and largest line of the log, in bytes. */
#define TEXT_MESSAGE_MAX 2048U
#define TEXT_LINE_MAX    4000U
