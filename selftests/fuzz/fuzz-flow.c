// SPDX-License-Identifier: GPL-2.0
/* Messages with flow records, to text and JSON: the first byte chooses which. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli/flow.h"
#include "kernel/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void show(const struct tailrace_flow_record *r, bool json, FILE *f)
{
	struct json_object *o;

	if (!json) {
		flow_print(f, r);
		return;
	}
	o = flow_json(r);
	if (!json_object_to_json_string(o))
		abort();
	json_object_put(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static FILE *null;
	struct flow_news news;
	struct nlmsghdr *h;
	bool json;
	size_t i;

	if (!null)
		null = fopen("/dev/null", "w");
	if (n < 1 + sizeof(*h))
		return 0;
	json = *data++ & 1;
	n--;
	h = malloc(n);
	memcpy(h, data, n);
	/* the kernel's length is that of what was read */
	h->nlmsg_len = (uint32_t)n;
	if (flow_news_parse(h, &news))
		for (i = 0; i < news.n; i++) {
			struct tailrace_flow_record r = flow_news_at(&news, i);

			show(&r, json, null);
		}
	free(h);
	return 0;
}
