// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "kernel/verdict.h"
#include "kernel/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A message of a trace, of any contents: reads nothing outside of it. */
static void trace(const uint8_t *data, size_t n)
{
	struct nlmsghdr *h = malloc(NLMSG_HDRLEN + n);
	struct verdict_news news;
	uint64_t sum = 0;
	size_t i;

	*h = (struct nlmsghdr){ .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + n) };
	memcpy(mnl_nlmsg_get_payload(h), data, n);
	if (verdict_news_parse(h, &news))
		for (i = 0; i < news.n; i++)
			sum += verdict_news_at(&news, i).time;
	/* so that the reading is not left out */
	*(volatile uint64_t *)&sum = sum;
	free(h);
}

/* What decodes encodes to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wire_message m;
	uint8_t *frame;
	size_t len;

	trace(data, n);
	if (wire_decode(data, n, &m))
		return 0;
	frame = wire_encode(m.type, &m.u, &len);
	if (len != n || memcmp(frame, data, n))
		abort();
	free(frame);
	wire_free(&m);
	return 0;
}
