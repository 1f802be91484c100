// SPDX-License-Identifier: GPL-2.0
#include "kernel/module_ask.h"

#include <errno.h>

struct nlmsghdr *module_begin(struct netlink *nl, uint16_t family,
			      enum tailrace_cmd cmd, uint16_t flags,
			      uint16_t link_attr, uint32_t link)
{
	struct nlmsghdr *h = netlink_begin_genl(nl, family, cmd,
						TAILRACE_FAMILY_VERSION, flags);

	mnl_attr_put_u32(h, link_attr, link);
	return h;
}

int module_change(struct netlink *nl, struct nlmsghdr *h)
{
	return netlink_change(nl, h, NULL, NULL);
}

int module_dump(struct netlink *nl, uint16_t family, enum tailrace_cmd cmd,
		uint16_t link_attr, uint32_t link, netlink_cb cb, void *ctx,
		void (*clear)(void *ctx))
{
	int err = -EAGAIN, tries;

	for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
		clear(ctx);
		err = netlink_ask(
			nl,
			module_begin(nl, family, cmd, NLM_F_DUMP, link_attr,
				     link),
			cb, ctx);
	}
	if (err)
		clear(ctx);
	return err;
}
