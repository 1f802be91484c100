/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_IDS_H
#define LIB_IDS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Numbers for things that have none, from what they are: the same thing has
 * the same number next time and in the next process, whatever else is there,
 * except for who shares its first 32 bits of a digest with another one.
 */

#define IDS_DIGEST 16

struct id {
	uint8_t digest[IDS_DIGEST]; /* of the thing */
	size_t index; /* the caller's */
	uint32_t id; /* never 0 */
};

/*
 * Fills in .id, no two alike, not even those of equal digests. Sorts by digest,
 * then index; ids ascend.
 */
void ids_assign(struct id *ids, size_t n);

/* Unkeyed, of libsodium. */
void ids_digest(uint8_t out[IDS_DIGEST], const void *data, size_t n);

#endif
