// SPDX-License-Identifier: GPL-2.0
#include "kernel/module.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>
#include <unistd.h>

#include "kernel/list.h"
#include "kernel/module_ask.h"
#include "lib/util.h"

/* Devices. */

static void on_link(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[TAILRACE_A_DEVICE_MAX + 1];
	struct module_links *links = ctx;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	*list_add(links->index, &links->n) =
		attr_u32(tb[TAILRACE_A_DEVICE_IFINDEX]);
}

const char *module_open(struct netlink *nl, uint16_t *family,
			struct module_links *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	/* asking for the family would load the module */
	if (access("/sys/module/tailrace", F_OK))
		return "tailrace.ko is not loaded: modprobe tailrace";
	if (netlink_open(nl, NETLINK_GENERIC)) {
		netlink_close(nl);
		return "cannot ask the kernel: no generic netlink";
	}
	err = netlink_family(nl, TAILRACE_FAMILY_NAME, family, NULL, NULL);
	if (!err)
		err = netlink_ask(nl,
				  netlink_begin_genl(nl, *family,
						     TAILRACE_CMD_DEV_GET,
						     TAILRACE_FAMILY_VERSION,
						     NLM_F_DUMP),
				  on_link, out);
	/* a list that changed while it was dumped is good enough for people */
	if (!err || err == -EAGAIN)
		return NULL;
	free(out->index);
	netlink_close(nl);
	return err == -EPERM ? "only root may ask tailrace.ko: use sudo" :
			       "tailrace.ko does not answer";
}

/* How a setting, all of them u32, is called and where it is. */
static const struct setting {
	enum module_setting bit;
	uint16_t attr;
	size_t offset;
	const char *name;
} settings[] = {
	{ MODULE_FLAGS, TAILRACE_A_DEVICE_FLAGS,
	  offsetof(struct kernel_settings, flags), "strict" },
	{ MODULE_MAX_STALE, TAILRACE_A_DEVICE_MAX_STALE,
	  offsetof(struct kernel_settings, max_stale), "max-stale" },
	{ MODULE_FLOWS_MAX, TAILRACE_A_DEVICE_FLOWS_MAX,
	  offsetof(struct kernel_settings, flows_max), "flow-table" },
	{ MODULE_RECORDS, TAILRACE_A_DEVICE_RECORDS,
	  offsetof(struct kernel_settings, records), "flow-records" },
};

static uint32_t *setting_of(const struct kernel_settings *s,
			    const struct setting *which)
{
	return (uint32_t *)((uintptr_t)s + which->offset);
}

unsigned int module_diff_settings(const struct kernel_settings *a,
				  const struct kernel_settings *b)
{
	unsigned int differ = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (*setting_of(a, &settings[i]) !=
		    *setting_of(b, &settings[i]))
			differ |= settings[i].bit;
	return differ;
}

static const struct setting *find_setting(enum module_setting which)
{
	size_t i = 0;

	while (settings[i].bit != which)
		i++;
	return &settings[i];
}

const char *module_setting_name(enum module_setting which)
{
	return find_setting(which)->name;
}

int module_set_setting(struct netlink *nl, uint16_t family, uint32_t link,
		       const struct kernel_settings *s,
		       enum module_setting which)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_DEV_SET, 0,
			     TAILRACE_A_DEVICE_IFINDEX, link);
	const struct setting *setting = find_setting(which);

	mnl_attr_put_u32(h, setting->attr, *setting_of(s, setting));
	return module_change(nl, h);
}

static void on_device(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[TAILRACE_A_DEVICE_MAX + 1];
	struct module_device *d = ctx;
	size_t i;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	d->port = attr_u16(tb[TAILRACE_A_DEVICE_PORT]);
	d->state = attr_u32(tb[TAILRACE_A_DEVICE_STATE]);
	d->generation = attr_u32(tb[TAILRACE_A_DEVICE_GENERATION]);
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		*setting_of(&d->settings, &settings[i]) =
			attr_u32(tb[settings[i].attr]);
		if (tb[settings[i].attr])
			d->has |= settings[i].bit;
	}
}

int module_device_get(struct netlink *nl, uint16_t family, uint32_t link,
		      struct module_device *out)
{
	memset(out, 0, sizeof(*out));
	return netlink_ask(nl,
			   module_begin(nl, family, TAILRACE_CMD_DEV_GET, 0,
					TAILRACE_A_DEVICE_IFINDEX, link),
			   on_device, out);
}

int module_attach(struct netlink *nl, uint16_t family, uint32_t link,
		  uint16_t port)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_DEV_ATTACH, 0,
			     TAILRACE_A_DEVICE_IFINDEX, link);

	mnl_attr_put_u16(h, TAILRACE_A_DEVICE_PORT, port);
	return module_change(nl, h);
}

int module_set_port(struct netlink *nl, uint16_t family, uint32_t link,
		    uint16_t port)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_DEV_SET, 0,
			     TAILRACE_A_DEVICE_IFINDEX, link);

	mnl_attr_put_u16(h, TAILRACE_A_DEVICE_PORT, port);
	return module_change(nl, h);
}

int module_bind(struct netlink *nl, uint16_t family, uint32_t link, int fd)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_SOCKET_BIND, 0,
			     TAILRACE_A_DEVICE_IFINDEX, link);

	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_FD, (uint32_t)fd);
	return module_change(nl, h);
}

/* TSMP and events. */

static size_t ip_size(const struct ip_addr *ip)
{
	return ip->family == 4 ? 4 : 16;
}

int module_send_tsmp(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct ip_addr *src, const struct ip_addr *dst,
		     const uint8_t *data, size_t n)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_TSMP_SEND, 0,
			     TAILRACE_A_TSMP_IFINDEX, link);

	mnl_attr_put(h, TAILRACE_A_TSMP_SRC, ip_size(src), src->b);
	mnl_attr_put(h, TAILRACE_A_TSMP_DST, ip_size(dst), dst->b);
	mnl_attr_put(h, TAILRACE_A_TSMP_PAYLOAD, n, data);
	/* changes no state: not counted */
	return netlink_ask(nl, h, NULL, NULL);
}

static bool read_ip(const struct nlattr *a, struct ip_addr *ip)
{
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;

	if (n != 4 && n != 16)
		return false;
	ip->family = n == 4 ? 4 : 6;
	memcpy(ip->b, mnl_attr_get_payload(a), n);
	return true;
}

static bool parse_tsmp(const struct nlmsghdr *h, struct module_event *out)
{
	const struct nlattr *tb[TAILRACE_A_TSMP_MAX + 1], *payload;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	payload = tb[TAILRACE_A_TSMP_PAYLOAD];
	if (!read_ip(tb[TAILRACE_A_TSMP_SRC], &out->src) ||
	    !read_ip(tb[TAILRACE_A_TSMP_DST], &out->dst) || !payload)
		return false;
	out->link = attr_u32(tb[TAILRACE_A_TSMP_IFINDEX]);
	out->data = mnl_attr_get_payload(payload);
	out->n = mnl_attr_get_payload_len(payload);
	return out->n && out->n <= TAILRACE_MAX_TSMP;
}

bool module_event_parse(const struct nlmsghdr *h, struct module_event *out)
{
	const struct nlattr *tb[TAILRACE_A_EVENT_MAX + 1];
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(h);

	memset(out, 0, sizeof(*out));
	out->cmd = g->cmd;
	switch (g->cmd) {
	case TAILRACE_CMD_TSMP_NTF:
		return parse_tsmp(h, out);
	case TAILRACE_CMD_PEER_ACTIVE_NTF:
	case TAILRACE_CMD_PEER_IDLE_NTF:
	case TAILRACE_CMD_SOURCE_NTF:
	case TAILRACE_CMD_STATE_NTF:
	case TAILRACE_CMD_RESYNC_NTF:
		/* DEVICE_IFINDEX and EVENT_IFINDEX are both number 1 */
		netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
		out->link = attr_u32(tb[TAILRACE_A_EVENT_IFINDEX]);
		if (g->cmd != TAILRACE_CMD_STATE_NTF)
			out->peer = attr_u32(tb[TAILRACE_A_EVENT_PEER]);
		return true;
	}
	return false;
}
