/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_BITS_H
#define COORD_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets of small numbers: bit i % 64 of word i / 64. */

static inline size_t bits_words(size_t n)
{
	return (n + 63) / 64;
}

static inline void bits_set(uint64_t *b, size_t i)
{
	b[i / 64] |= UINT64_C(1) << i % 64;
}

static inline void bits_clear(uint64_t *b, size_t i)
{
	b[i / 64] &= ~(UINT64_C(1) << i % 64);
}

static inline bool bits_test(const uint64_t *b, size_t i)
{
	return b[i / 64] >> i % 64 & 1;
}

static inline void bits_or(uint64_t *b, const uint64_t *other, size_t words)
{
	size_t i;

	for (i = 0; i < words; i++)
		b[i] |= other[i];
}

static inline void bits_and(uint64_t *b, const uint64_t *other, size_t words)
{
	size_t i;

	for (i = 0; i < words; i++)
		b[i] &= other[i];
}

/* The first member from @i on; @n if there is none below it. */
static inline size_t bits_next(const uint64_t *b, size_t i, size_t n)
{
	while (i < n) {
		uint64_t rest = b[i / 64] >> i % 64;

		if (rest) {
			i += (size_t)__builtin_ctzll(rest);
			return i < n ? i : n;
		}
		i = (i / 64 + 1) * 64;
	}
	return n;
}

#define bits_for_each(b, i, n)                      \
	for (i = bits_next(b, 0, n); i < (n);       \
	     i = bits_next(b, i + 1, n))

#endif
