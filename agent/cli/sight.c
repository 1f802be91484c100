// SPDX-License-Identifier: GPL-2.0
#include "cli/sight.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "kernel/addrset.h"
#include "lib/util.h"

/* The link of @device among @links; 0 after having said what is wrong. */
static uint32_t choose(const struct module_links *links, const char *device)
{
	uint32_t link = device ? if_nametoindex(device) : 0;
	char names[256] = "", name[IF_NAMESIZE];
	size_t i;

	for (i = 0; i < links->n; i++) {
		if (device && link == links->index[i])
			return link;
		if (!if_indextoname(links->index[i], name))
			continue;
		if (strlen(names) + strlen(name) + 2 < sizeof(names)) {
			strcat(names, " ");
			strcat(names, name);
		}
	}
	if (!links->n)
		cli_error("tailrace.ko is attached to no device here: systemctl start tailraced");
	else if (device)
		cli_error("tailrace.ko is not attached to '%s', but to:%s",
			  device, names);
	else if (links->n == 1)
		return links->index[0];
	else
		cli_error("which device? --device=NAME, one of:%s", names);
	return 0;
}

int sight_open(struct sight *s, const char *device)
{
	struct module_links links;
	const char *error;

	memset(s, 0, sizeof(*s));
	error = module_open(&s->nl, &s->family, &links);
	if (error)
		return cli_error("%s", error);
	s->link = choose(&links, device);
	free(links.index);
	if (!s->link || !if_indextoname(s->link, s->device)) {
		netlink_close(&s->nl);
		return 1;
	}
	return 0;
}

void sight_close(struct sight *s)
{
	policy_clear(&s->policy);
	module_peers_free(&s->peers);
	netlink_close(&s->nl);
}

const struct policy *sight_policy(struct sight *s,
				  const struct tailrace_verdict *v)
{
	if (v->generation && s->policy.generation != v->generation &&
	    s->asked != v->generation) {
		s->asked = v->generation;
		policy_clear(&s->policy);
		/* without one there is less to explain */
		policy_get(&s->nl, s->family, s->link, &s->policy);
	}
	return v->generation && s->policy.generation == v->generation ?
		       &s->policy :
		       NULL;
}

static void ask_for_peers(struct sight *s)
{
	uint64_t now = now_ns();

	if (s->peers_at && now - s->peers_at < SEC_NS)
		return;
	s->peers_at = now;
	module_peers_free(&s->peers);
	module_peers_get(&s->nl, s->family, s->link, &s->peers);
}

const struct module_peer *sight_peer(struct sight *s, uint32_t id)
{
	const struct module_peer *p = id ? module_peer_find(&s->peers, id) :
					   NULL;

	if (p || !id)
		return p;
	ask_for_peers(s);
	return module_peer_find(&s->peers, id);
}

static int longest(const struct tailrace_addr *list, size_t n,
		   const struct ip_addr *ip)
{
	int best = -1;
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i].prefix_len > best && addrset_contains(&list[i], ip))
			best = list[i].prefix_len;
	return best;
}

const struct module_peer *sight_peer_of(struct sight *s,
					const struct ip_addr *ip)
{
	const struct module_peer *found = NULL;
	int best = -1;
	size_t i;

	ask_for_peers(s);
	for (i = 0; i < s->peers.n; i++) {
		const struct module_peer *p = &s->peers.p[i];
		int own = longest(p->addrs, p->n_addrs, ip);
		int routed = longest(p->routes, p->n_routes, ip);
		int bits = own > routed ? own : routed;

		if (bits > best) {
			best = bits;
			found = p;
		}
	}
	return found;
}
