// SPDX-License-Identifier: GPL-2.0
/* Any datagrams from a gateway; the first byte of each is its length. */
#include <stdlib.h>

#include "engine/portmap.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_send(void *ctx, const uint8_t *data, size_t n)
{
	if (n > PCP_MAP_LEN)
		abort();
}

static const struct portmap_ops ops = { .send = on_send };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip_addr own = ip_v4(192, 168, 1, 5);
	uint64_t now = 1000 * SEC_NS;
	struct portmap p;
	struct endpoint e;

	portmap_init(&p, &ops, NULL);
	portmap_set_gateway(&p, &own);
	portmap_set_port(&p, 41641);
	while (size) {
		size_t n = data[0] < size - 1 ? data[0] : size - 1;

		portmap_get(&p, &e, now);
		portmap_input(&p, data + 1, n, now);
		if (p.external.ip.family &&
		    (!p.external.port || p.expires <= p.renew))
			abort();
		portmap_tick(&p, now);
		data += 1 + n;
		size -= 1 + n;
		now += 100 * MS_NS;
	}
	return 0;
}
