/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_DURATION_H
#define LIB_DURATION_H

#include <stdint.h>

/*
 * Spans of time as operators of Go programs write them: "300ms", "1h30m",
 * "1.5s", and plain "0"; units ns, us, ms, s, m, h, and here also d, w and
 * y (365 days). 0 with nanoseconds in *@ns; -EINVAL for anything else, a sign
 * included; -ERANGE past a century.
 */
int duration_parse(const char *text, uint64_t *ns);

/* Room for duration_format()'s longest text, NUL included. */
#define DURATION_TEXT_MAX 32
/* "1h30m0s" as Go writes it, of whole seconds. Returns @out. */
const char *duration_format(uint64_t seconds, char out[DURATION_TEXT_MAX]);

#endif
