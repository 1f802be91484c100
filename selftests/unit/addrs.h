/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_ADDRS_H
#define UNIT_ADDRS_H

/* Addresses from literals; what does not parse is a bug of the test. */

#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"

static inline struct prefix pfx(const char *text)
{
	struct prefix p = { 0 };

	if (prefix_parse(&p, text))
		abort();
	return p;
}

/* "-" is none. */
static inline struct endpoint ep(const char *text)
{
	struct endpoint e = { 0 };

	if (strcmp(text, "-") && endpoint_parse(&e, text))
		abort();
	return e;
}

#endif
