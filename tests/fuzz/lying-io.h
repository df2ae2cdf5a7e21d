/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A VgpuIo with the answers of another one, "the truth", except for the lies in the input. A lie is
 *
 *     AFTER KIND TEXT\0
 *
 * AFTER is the number of true answers before the lie, plus '0'. KIND is one of
 *
 *     e  no effect, and the errno of TEXT; also any other letter
 *     a  the true effect, and the errno of TEXT
 *     t  TEXT: the attribute, the link, the names in a folder ("/" between names), the output of a program
 *     p  the truth and TEXT after the truth
 *     c  the truth, cut to a number of bytes or names: the first byte of TEXT, minus '0'
 *     w  no effect, and success; ENOENT if the operation returns a text
 *
 * A lie with a capital letter is repeated for the same operation on the same path. An errno is a letter: see
 * lying_errnos[]. */

#include "drivers-glue/io/io.h"
#include "fuzz.h"

/* `in` is read while the answers are given; both arguments are borrowed. `on_write` (may be NULL) is called
 * before each true write. */
VgpuIo *lying_io_new(VgpuIo *truth, FuzzInput *in,
                     void (*on_write)(const char *path, const char *value, void *userdata), void *userdata);

/* Abort if a descriptor that open_group() gave out is still open. */
void lying_io_check_closed(VgpuIo *io);
