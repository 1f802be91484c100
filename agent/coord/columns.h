/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_COLUMNS_H
#define COORD_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/*
 * Lists as the text of a column: JSON. To text: malloced. From text: what does
 * not decode, or is more than @max, is -EIO; NULL text too.
 */

char *strings_to_text(char *const *list, size_t n);
int strings_from_text(const char *text, size_t max,
		      bool (*valid)(const char *s), char ***out,
		      size_t *n_out);

char *prefixes_to_text(const struct prefix *list, size_t n);
int prefixes_from_text(const char *text, size_t max, struct prefix **out,
		       size_t *n_out);

/* [["192.0.2.1:41641",2],…] */
char *endpoints_to_text(const struct endpoint *list, const uint8_t *types,
			size_t n);
int endpoints_from_text(const char *text, size_t max, struct endpoint **out,
			uint8_t **types, size_t *n_out);

#endif
