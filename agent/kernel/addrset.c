// SPDX-License-Identifier: GPL-2.0
#include "kernel/addrset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct tailrace_addr addrset_prefix(const struct prefix *p)
{
	struct tailrace_addr a = {
		.kind = p->ip.family == 4 ? TAILRACE_ADDR_PREFIX4 :
					    TAILRACE_ADDR_PREFIX6,
		.prefix_len = p->bits,
	};

	memcpy(a.first, p->ip.b, sizeof(a.first));
	return a;
}

static int parse_prefix(struct tailrace_addr *out, const char *text)
{
	struct prefix p, masked;

	if (prefix_parse(&p, text))
		return -EINVAL;
	masked = prefix_masked(&p);
	if (!prefix_equal(&p, &masked))
		return -EINVAL;
	*out = addrset_prefix(&p);
	return 0;
}

static int parse_range(struct tailrace_addr *out, const char *text,
		       const char *dash)
{
	size_t n = (size_t)(dash - text);
	struct ip_addr first, last;
	char low[IP_TEXT_MAX];

	if (n >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, n);
	low[n] = '\0';
	if (ip_parse(&first, low) || ip_parse(&last, dash + 1) ||
	    first.family != last.family || ip_compare(&first, &last) > 0)
		return -EINVAL;
	*out = (struct tailrace_addr){
		.kind = first.family == 4 ? TAILRACE_ADDR_RANGE4 :
					    TAILRACE_ADDR_RANGE6,
	};
	memcpy(out->first, first.b, sizeof(out->first));
	memcpy(out->last, last.b, sizeof(out->last));
	return 0;
}

int addrset_parse(struct tailrace_addr *out, const char *text)
{
	const char *dash = strchr(text, '-');
	struct prefix p;

	/* the forms are tried in the order of the specification */
	if (!strcmp(text, "*")) {
		*out = (struct tailrace_addr){ .kind = TAILRACE_ADDR_ANY };
		return 0;
	}
	if (strchr(text, '/'))
		return parse_prefix(out, text);
	if (dash && !strchr(dash + 1, '-'))
		return parse_range(out, text, dash);
	if (ip_parse(&p.ip, text))
		return -EINVAL;
	p.bits = (uint8_t)ip_bits(&p.ip);
	*out = addrset_prefix(&p);
	return 0;
}

static bool is_v6(const struct tailrace_addr *a)
{
	return a->kind == TAILRACE_ADDR_PREFIX6 ||
	       a->kind == TAILRACE_ADDR_RANGE6;
}

static struct ip_addr ip_of(const struct tailrace_addr *a, const __u8 *b)
{
	struct ip_addr ip = { .family = is_v6(a) ? 6 : 4 };

	memcpy(ip.b, b, ip.family == 4 ? 4 : 16);
	return ip;
}

const char *addrset_format(const struct tailrace_addr *a,
			   char out[ADDRSET_TEXT_MAX])
{
	struct ip_addr first = ip_of(a, a->first), last = ip_of(a, a->last);
	char low[IP_TEXT_MAX], high[IP_TEXT_MAX];

	ip_format(&first, low);
	ip_format(&last, high);
	switch ((enum tailrace_addr_kind)a->kind) {
	case TAILRACE_ADDR_ANY:
		return strcpy(out, "*");
	case TAILRACE_ADDR_PREFIX4:
	case TAILRACE_ADDR_PREFIX6:
		if (a->prefix_len == ip_bits(&first))
			return strcpy(out, low);
		snprintf(out, ADDRSET_TEXT_MAX, "%s/%u", low, a->prefix_len);
		return out;
	case TAILRACE_ADDR_RANGE4:
	case TAILRACE_ADDR_RANGE6:
		snprintf(out, ADDRSET_TEXT_MAX, "%s-%s", low, high);
		return out;
	}
	return strcpy(out, "?");
}

bool addrset_contains(const struct tailrace_addr *a, const struct ip_addr *ip)
{
	struct ip_addr first = ip_of(a, a->first), last = ip_of(a, a->last);
	struct prefix p = { .ip = first, .bits = a->prefix_len };

	switch ((enum tailrace_addr_kind)a->kind) {
	case TAILRACE_ADDR_ANY:
		return true;
	case TAILRACE_ADDR_PREFIX4:
	case TAILRACE_ADDR_PREFIX6:
		return prefix_contains(&p, ip);
	case TAILRACE_ADDR_RANGE4:
	case TAILRACE_ADDR_RANGE6:
		return first.family == ip->family &&
		       ip_compare(&first, ip) <= 0 &&
		       ip_compare(ip, &last) <= 0;
	}
	return false;
}
