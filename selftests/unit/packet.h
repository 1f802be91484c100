/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_PACKET_H
#define UNIT_PACKET_H

/* Packets for the module's filter; addresses are strings of their bytes. */

/* An IPv4 header without options and @l4_len zero bytes behind it. */
static u32 make4(u8 *b, u8 proto, const char *src, const char *dst, u32 l4_len)
{
	memset(b, 0, 20 + l4_len);
	b[0] = 0x45;
	b[3] = 20 + l4_len;
	b[9] = proto;
	memcpy(b + 12, src, 4);
	memcpy(b + 16, dst, 4);
	return 20 + l4_len;
}

/* The same with TCP's header or UDP's ports. */
static u32 make(u8 *b, u8 proto, const char *src, const char *dst, u16 sport,
		u16 dport, u8 flags)
{
	u32 len = make4(b, proto, src, dst, 20);

	b[20] = sport >> 8;
	b[21] = sport;
	b[22] = dport >> 8;
	b[23] = dport;
	b[33] = flags;
	return len;
}

#endif
