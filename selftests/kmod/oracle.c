// SPDX-License-Identifier: GPL-2.0
#include "oracle_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* 7.2: what the filter takes a packet for. */

int oracle_get16(const uint8_t *b)
{
	return b[0] << 8 | b[1];
}

static void decode_ports(struct oracle_packet *p)
{
	if (p->proto == TCP || p->proto == UDP || p->proto == SCTP) {
		p->sport = oracle_get16(p->data);
		p->dport = oracle_get16(p->data + 2);
	}
}

static void decode4(struct oracle_packet *p, const uint8_t *b, size_t len)
{
	size_t header, total;
	bool more;
	int offset, proto;

	memcpy(p->src, b + 12, 4);
	memcpy(p->dst, b + 16, 4);
	header = (b[0] & 15) * 4;
	total = oracle_get16(b + 2);
	if (len < total || header > total || header < 20)
		return;
	p->data = b + header;
	p->len = total - header;
	proto = b[9];
	more = b[6] & 0x20;
	p->id = oracle_get16(b + 4);
	offset = oracle_get16(b + 6) & 0x1fff;
	if (offset == 0) {
		if (proto == ICMP4 && p->len < 4)
			return;
		if (proto == IGMP && p->len < 8)
			return;
		if (proto == TCP && p->len < 20)
			return;
		if (proto == UDP && p->len < 8)
			return;
		if (proto == SCTP && p->len < 12)
			return;
		if (proto == TSMP && (p->len < 7 || more))
			return;
	}
	if (proto == 0xff)
		return;
	if (offset >= 1 && offset < 10)
		return;
	if (offset >= 10) {
		p->proto = FRAGMENT;
		return;
	}
	p->proto = proto;
	p->fragmented = more;
	decode_ports(p);
}

static void decode6(struct oracle_packet *p, const uint8_t *b, size_t len)
{
	int proto;

	memcpy(p->src, b + 8, 16);
	memcpy(p->dst, b + 24, 16);
	p->data = b + 40;
	p->len = oracle_get16(b + 4);
	if (len < 40 + p->len)
		return;
	proto = b[6];
	if (proto == FRAGMENT_HEADER) {
		int offset;

		if (p->len < 8)
			return;
		offset = oracle_get16(p->data + 2) >> 3;
		p->id = (uint32_t)oracle_get16(p->data + 4) << 16 |
			oracle_get16(p->data + 6);
		if (offset >= 10)
			p->proto = FRAGMENT;
		if (offset >= 1)
			return;
		p->fragmented = p->data[3] & 1;
		proto = p->data[0];
		p->data += 8;
		p->len -= 8;
	}
	if (proto == ICMP6 && p->len < 4)
		return;
	if (proto == TCP && p->len < 20)
		return;
	if (proto == UDP && p->len < 8)
		return;
	if (proto == SCTP && p->len < 12)
		return;
	if (proto == TSMP && p->len < 7)
		return;
	if (proto == 0xff)
		return;
	p->proto = proto;
	decode_ports(p);
}

struct oracle_packet oracle_decode(const uint8_t *b, size_t len)
{
	struct oracle_packet p = { .proto = UNKNOWN };

	if (len >= 20 && b[0] >> 4 == 4) {
		p.family = 4;
		decode4(&p, b, len);
	} else if (len >= 40 && b[0] >> 4 == 6) {
		p.family = 6;
		decode6(&p, b, len);
	}
	return p;
}

bool oracle_is_icmp(const struct oracle_packet *p)
{
	return (p->family == 4 && p->proto == ICMP4) ||
	       (p->family == 6 && p->proto == ICMP6);
}

bool oracle_is_icmp_reply_or_error(const struct oracle_packet *p)
{
	int type, code;

	if (p->len < 8)
		return false;
	type = p->data[0];
	code = p->data[1];
	if (p->family == 4)
		return (type == 0 && code == 0) || type == 3 || type == 11 ||
		       type == 18;
	return (type == 129 && code == 0) || (type >= 1 && type <= 4);
}

bool oracle_is_syn(const struct oracle_packet *p)
{
	return (p->data[13] & 0x12) == 0x02;
}

/* Addresses. */

static bool equal_bits(const uint8_t *a, const uint8_t *b, int bits)
{
	int i;

	for (i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool contains(const struct tailrace_addr *set, int family,
		     const uint8_t *addr)
{
	size_t size = family == 4 ? 4 : 16;

	switch (set->kind) {
	case TAILRACE_ADDR_ANY:
		return true;
	case TAILRACE_ADDR_PREFIX4:
		return family == 4 &&
		       equal_bits(set->first, addr, set->prefix_len);
	case TAILRACE_ADDR_PREFIX6:
		return family == 6 &&
		       equal_bits(set->first, addr, set->prefix_len);
	case TAILRACE_ADDR_RANGE4:
		return family == 4 && memcmp(set->first, addr, size) <= 0 &&
		       memcmp(addr, set->last, size) <= 0;
	case TAILRACE_ADDR_RANGE6:
		return family == 6 && memcmp(set->first, addr, size) <= 0 &&
		       memcmp(addr, set->last, size) <= 0;
	}
	abort();
}

bool oracle_any_contains(const struct tailrace_addr *sets, size_t n, int family,
			 const uint8_t *addr)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (contains(&sets[i], family, addr))
			return true;
	return false;
}

/* Peers. */

/* Longest prefix over all peers' allowed IPs. */
const struct oracle_peer *oracle_peer_of(const struct oracle *o, int family,
					 const uint8_t *addr)
{
	const struct oracle_peer *best = NULL;
	int best_len = -1;
	size_t i, k;

	for (i = 0; i < o->n_peers; i++) {
		const struct oracle_peer *p = &o->peers[i];

		for (k = 0; k < p->n_addrs + p->n_routes; k++) {
			const struct tailrace_addr *a =
				k < p->n_addrs ? &p->addrs[k] :
						 &p->routes[k - p->n_addrs];

			if (contains(a, family, addr) &&
			    a->prefix_len >= best_len) {
				best = p;
				best_len = a->prefix_len;
			}
		}
	}
	return best;
}

static bool has_cap(const struct oracle *o, const struct oracle_packet *p,
		    uint32_t cap)
{
	size_t i, k;

	for (i = 0; i < o->n_peers; i++) {
		const struct oracle_peer *peer = &o->peers[i];

		if (peer->is_unsigned ||
		    !oracle_any_contains(peer->addrs, peer->n_addrs, p->family, p->src))
			continue;
		for (k = 0; k < peer->n_caps; k++)
			if (peer->caps[k] == cap)
				return true;
	}
	return false;
}

/* 7.4: rules. */

static bool src_prefix_matches(const struct oracle_rule *r,
			       const struct oracle_packet *p)
{
	return oracle_any_contains(r->srcs, r->n_srcs, p->family, p->src);
}

static bool src_cap_matches(const struct oracle *o, const struct oracle_rule *r,
			    const struct oracle_packet *p)
{
	size_t i;

	for (i = 0; i < r->n_caps; i++)
		if (has_cap(o, p, r->caps[i]))
			return true;
	return false;
}

static bool proto_matches(const struct oracle_rule *r, int proto)
{
	size_t i;

	if (!r->n_protos)
		return proto == TCP || proto == UDP || proto == ICMP4 ||
		       proto == ICMP6;
	for (i = 0; i < r->n_protos; i++)
		if (r->protos[i] == proto)
			return true;
	return false;
}

/* Whether a rule has any destination in the family of the packet. */
static bool has_family(const struct oracle_rule *r, int family)
{
	size_t i;

	for (i = 0; i < r->n_dsts; i++) {
		switch (r->dsts[i].addr.kind) {
		case TAILRACE_ADDR_ANY:
			return true;
		case TAILRACE_ADDR_PREFIX4:
		case TAILRACE_ADDR_RANGE4:
			if (family == 4)
				return true;
			break;
		case TAILRACE_ADDR_PREFIX6:
		case TAILRACE_ADDR_RANGE6:
			if (family == 6)
				return true;
			break;
		}
	}
	return false;
}

static bool rule_accepts(const struct oracle *o, const struct oracle_rule *r,
			 const struct oracle_packet *p)
{
	size_t i;

	if (oracle_is_icmp(p) && has_family(r, p->family) && src_cap_matches(o, r, p))
		return true;
	for (i = 0; i < r->n_dsts; i++) {
		const struct tailrace_dst *d = &r->dsts[i];

		if (!contains(&d->addr, p->family, p->dst))
			continue;
		if (oracle_is_icmp(p)) {
			if (src_prefix_matches(r, p))
				return true;
		} else if (p->proto == TCP || p->proto == UDP ||
			   p->proto == SCTP) {
			if (proto_matches(r, p->proto) &&
			    d->port_first <= p->dport &&
			    p->dport <= d->port_last &&
			    (src_prefix_matches(r, p) ||
			     src_cap_matches(o, r, p)))
				return true;
		} else {
			if (proto_matches(r, p->proto) &&
			    d->port_first == 0 && d->port_last == 65535 &&
			    src_prefix_matches(r, p))
				return true;
		}
	}
	return false;
}

/* Shields-up has no rules. */
bool oracle_rules_accept(const struct oracle *o,
			 const struct oracle_policy *policy,
			 const struct oracle_packet *p)
{
	size_t i;

	if (policy->shields_up)
		return false;
	for (i = 0; i < policy->n_rules; i++)
		if (rule_accepts(o, &policy->rules[i], p))
			return true;
	return false;
}

bool oracle_rule_accepts(const struct oracle *o, uint32_t id,
			 const uint8_t *packet, size_t len)
{
	struct oracle_packet p = oracle_decode(packet, len);
	size_t i;

	for (i = 0; i < o->policy->n_rules; i++)
		if (o->policy->rules[i].id == id)
			return rule_accepts(o, &o->policy->rules[i], &p);
	return false;
}

/* Flows. */

struct oracle_flow oracle_flow_of(const struct oracle_packet *p, bool reversed)
{
	struct oracle_flow f = { .family = p->family, .proto = p->proto };

	memcpy(f.src, reversed ? p->dst : p->src, 16);
	memcpy(f.dst, reversed ? p->src : p->dst, 16);
	f.sport = reversed ? p->dport : p->sport;
	f.dport = reversed ? p->sport : p->dport;
	return f;
}

bool oracle_flow_known(const struct oracle_flows *flows,
		       const struct oracle_flow *f)
{
	size_t i;

	for (i = 0; i < flows->n; i++)
		if (!memcmp(&flows->flow[i], f, sizeof(*f)))
			return true;
	return false;
}

void oracle_flows_add(struct oracle_flows *flows, const struct oracle_flow *f)
{
	if (oracle_flow_known(flows, f))
		return;
	assert(flows->n < ORACLE_FLOWS);
	flows->flow[flows->n++] = *f;
}

void oracle_flows_del(struct oracle_flows *flows, const struct oracle_flow *f)
{
	size_t i;

	for (i = 0; i < flows->n; i++)
		if (!memcmp(&flows->flow[i], f, sizeof(*f)))
			flows->flow[i--] = flows->flow[--flows->n];
}

void oracle_init(struct oracle *o)
{
	*o = (struct oracle){};
	o->flows.flow = calloc(ORACLE_FLOWS, sizeof(*o->flows.flow));
	o->jail.flow = calloc(ORACLE_FLOWS, sizeof(*o->jail.flow));
	o->memories.memory =
		calloc(ORACLE_FLOWS, sizeof(*o->memories.memory));
}

void oracle_uninit(struct oracle *o)
{
	free(o->flows.flow);
	free(o->jail.flow);
	free(o->memories.memory);
}

/* 7.5: a shields-up filter takes flows over from its own kind alone. */
void oracle_commit(struct oracle *o, const struct oracle_policy *policy)
{
	oracle_strict_commit(o, policy);
	if (policy->shields_up && (!o->policy || !o->policy->shields_up))
		o->flows.n = 0;
	o->policy = policy;
}

/* 7.3: a verdict, or -2 to go on. */
int oracle_pre(const struct oracle_packet *p, size_t len)
{
	static const uint8_t metadata[] = { 169, 254, 169, 254 };

	if (len == 0)
		return ACCEPT;
	if (len < 20)
		return TAILRACE_DROP_MALFORMED;
	if (p->proto == UNKNOWN)
		return TAILRACE_DROP_MALFORMED;
	if (p->family == 4 && p->dst[0] >= 224 && p->dst[0] <= 239)
		return TAILRACE_DROP_MULTICAST;
	if (p->family == 6 && p->dst[0] == 0xff)
		return TAILRACE_DROP_MULTICAST;
	if (p->family == 4 && p->dst[0] == 169 && p->dst[1] == 254 &&
	    memcmp(p->dst, metadata, 4))
		return TAILRACE_DROP_LINK_LOCAL;
	if (p->family == 6 && p->dst[0] == 0xfe && p->dst[1] >= 0x80 &&
	    p->dst[1] <= 0xbf)
		return TAILRACE_DROP_LINK_LOCAL;
	if (p->proto == FRAGMENT)
		return ACCEPT;
	return -2;
}

int oracle_in(struct oracle *o, const uint8_t *packet, size_t len)
{
	struct oracle_packet p = oracle_decode(packet, len);
	const struct oracle_flows *flows = &o->flows;
	const struct oracle_peer *peer;
	struct oracle_flow f;
	bool jailed;
	int ret;

	if (!o->policy)
		return TAILRACE_DROP_NO_POLICY;
	ret = oracle_pre(&p, len);
	if (ret != -2 && !(o->strict && p.proto == FRAGMENT && ret == ACCEPT))
		return ret;
	if (!oracle_any_contains(o->policy->local, o->policy->n_local, p.family,
				 p.dst))
		return TAILRACE_DROP_NOT_LOCAL;
	if (o->strict)
		return oracle_strict_in(o, &p);

	peer = oracle_peer_of(o, p.family, p.src);
	jailed = peer && peer->jailed;
	if (jailed)
		flows = &o->jail;

	if (oracle_is_icmp(&p) && oracle_is_icmp_reply_or_error(&p))
		return ACCEPT;
	if (p.proto == TCP && !oracle_is_syn(&p))
		return ACCEPT;
	if (p.proto == TSMP)
		return ACCEPT;
	f = oracle_flow_of(&p, false);
	if ((p.proto == UDP || p.proto == SCTP) &&
	    oracle_flow_known(flows, &f)) {
		if (!jailed)
			oracle_strict_used(o, &f);
		return ACCEPT;
	}
	if (jailed)
		return TAILRACE_DROP_JAILED;
	if (o->policy->shields_up)
		return TAILRACE_DROP_SHIELDS_UP;
	if (!oracle_rules_accept(o, o->policy, &p))
		return TAILRACE_DROP_NO_RULE;
	if (p.proto == UDP || p.proto == SCTP)
		oracle_strict_by_rule(o, &f);
	return ACCEPT;
}

int oracle_out(struct oracle *o, const uint8_t *packet, size_t len)
{
	struct oracle_packet p = oracle_decode(packet, len);
	struct oracle_flows *flows = &o->flows;
	const struct oracle_peer *peer;
	struct oracle_flow f;
	int ret;

	if (!o->policy)
		return TAILRACE_DROP_NO_POLICY;
	if (p.proto == TSMP)
		return TAILRACE_DROP_TSMP_OUT;
	ret = oracle_pre(&p, len);
	if (ret != -2)
		return ret;
	if (o->strict) {
		oracle_strict_out(o, &p);
		return ACCEPT;
	}
	peer = oracle_peer_of(o, p.family, p.dst);
	if (peer && peer->jailed)
		flows = &o->jail;
	if (p.proto == UDP || p.proto == SCTP) {
		f = oracle_flow_of(&p, true);
		if (flows == &o->flows) {
			if (oracle_flow_known(flows, &f))
				oracle_strict_used(o, &f);
			else
				oracle_strict_answered(o, &f);
		}
		oracle_flows_add(flows, &f);
	}
	return ACCEPT;
}
