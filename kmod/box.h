/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The boxes of disco, XSalsa20-Poly1305 with a key that userspace has agreed
 * upon (spec/disco.md 4): a tag, then as many bytes as were sealed.
 */
#ifndef _TR_BOX_H
#define _TR_BOX_H

#include <linux/types.h>

#define TR_BOX_KEY 32
#define TR_BOX_NONCE 24
#define TR_BOX_TAG 16

/**
 * tr_box_open() - authenticate a box and read its beginning
 * @plain: gets @n bytes; not touched unless the box is genuine
 * @n: at most @len - TR_BOX_TAG
 * @box: to open
 * @len: of @box
 * @nonce: TR_BOX_NONCE bytes
 * @key: TR_BOX_KEY bytes
 *
 * The tag covers all of the box however little is read. Takes time by the
 * lengths alone. Any context.
 *
 * Return: whether the box is genuine.
 */
bool __must_check tr_box_open(u8 *plain, size_t n, const u8 *box, size_t len,
			      const u8 *nonce, const u8 *key);

/**
 * tr_box_seal() - make a box
 * @box: gets TR_BOX_TAG + @n bytes; does not overlap @plain
 * @plain: to seal
 * @n: of @plain
 * @nonce: TR_BOX_NONCE bytes, never used twice with @key
 * @key: TR_BOX_KEY bytes
 *
 * Any context.
 */
void tr_box_seal(u8 *box, const u8 *plain, size_t n, const u8 *nonce,
		 const u8 *key);

#endif
