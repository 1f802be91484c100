// SPDX-License-Identifier: GPL-2.0
/*
 * Which routers a node is told of when grants have a via. What is expected is
 * what the hosted control server was seen to send (the first policies), and
 * what becomes of it when routers come and go.
 */
#include "map-world.h"

/*
 * carol's: c. alice's: a. Routers, all of them bob's but for their tags:
 *   web1 web2: 10.44.0.0/16 and tag:web     db1 db2: 10.44.0.0/16 and tag:db
 *   far: 10.55.0.0/16 and tag:db            exit1 tag:web, exit2 tag:db: /0
 */
enum { A, C, WEB1, WEB2, DB1, DB2, FAR, EXIT1, EXIT2, NODES };
static const char *const names[] = {"a", "c", "web1", "web2", "db1", "db2",
				    "far", "exit1", "exit2"};
static int64_t ids[NODES];
static struct stream a, c;

static struct coord_node *node(int i)
{
	return model_node(model, ids[i]);
}

static void make_router(int i, const char *tag, const char *routes)
{
	struct node_update u = {.cap = 116};
	struct prefix p[2];
	char text[128];
	size_t n = 1;

	ids[i] = add_node(1);
	snprintf(text, sizeof(text), "{\"Hostname\":\"%s\",\"RoutableIPs\":[%s]}",
		 names[i], routes);
	u.hostinfo = json_parse(text, strlen(text));
	model_node_update(model, node(i), &u);
	json_object_put(u.hostinfo);
	prefix_parse(&p[0], strstr(routes, "44") ? "10.44.0.0/16" :
			    strstr(routes, "55") ? "10.55.0.0/16" :
						   "0.0.0.0/0");
	if (strstr(routes, "::"))
		prefix_parse(&p[n++], "::/0");
	model_node_set_tags(model, node(i), &tag, 1);
	model_node_approve_routes(model, node(i), p, n);
	model_node_set_online(model, node(i), true, NOW);
}

static void make_nodes(void)
{
	ids[A] = add_node(0);
	ids[C] = add_node(2);
	make_router(WEB1, "tag:web", "\"10.44.0.0/16\"");
	make_router(WEB2, "tag:web", "\"10.44.0.0/16\"");
	make_router(DB1, "tag:db", "\"10.44.0.0/16\"");
	make_router(DB2, "tag:db", "\"10.44.0.0/16\"");
	make_router(FAR, "tag:db", "\"10.55.0.0/16\"");
	make_router(EXIT1, "tag:web", "\"0.0.0.0/0\",\"::/0\"");
	make_router(EXIT2, "tag:db", "\"0.0.0.0/0\",\"::/0\"");
}

/* "web1=10.44.0.0/16 far= ...": peers, with the routes it is to send there. */
static void brief(const struct stream *s, char *out, size_t max)
{
	size_t n = 0, k;
	int i;

	out[0] = '\0';
	for (i = 0; i < NODES; i++) {
		char text[PREFIX_TEXT_MAX];
		const char *comma = "";
		struct node *peer = netmap_peer_by_key(s->nm, &node(i)->key);

		if (!peer)
			continue;
		n += (size_t)snprintf(out + n, max - n, "%s%s=", n ? " " : "",
				      names[i]);
		for (k = 0; k < peer->n_allowed_ips; k++) {
			const struct prefix *p = &peer->allowed_ips[k];

			if (p->bits == ip_bits(&p->ip))
				continue;
			n += (size_t)snprintf(out + n, max - n, "%s%s", comma,
					      prefix_format(p, text));
			comma = ",";
		}
	}
}

static void tell(struct stream *s)
{
	const struct text *msg = map_encode_delta(encoder, member_of(s->node),
						  &s->view, s->zstd);

	if (msg)
		receive(s, msg);
}

static void tell_both(void)
{
	tell(&a);
	tell(&c);
	map_encode_end(encoder);
	tailnet_told(tailnet);
}

static void is(const struct stream *s, const char *want, const char *what)
{
	char have[512];

	brief(s, have, sizeof(have));
	if (!tap_ok(!s->failed && !strcmp(have, want), "%s: %s", what, want))
		printf("# have %s\n", have);
}

/* @grants, and that c may reach far's own address. */
static void set_policy(const char *grants)
{
	char *text;

	if (asprintf(&text,
		     "{\"tagOwners\":{\"tag:web\":[],\"tag:db\":[],"
		     "\"tag:none\":[]},\"grants\":[%s]}",
		     grants) < 0)
		abort();
	if (model_set_policy(model, text, strlen(text)))
		abort();
	free(text);
	tell_both();
}

#define GRANT(src, dst, via)                                            \
	"{\"src\":[\"" src "@\"],\"dst\":[\"" dst "\"],\"ip\":[\"*\"]," \
	"\"via\":[" via "]}"
#define NET "10.44.0.0/16"
#define PLAIN(src) \
	"{\"src\":[\"" src "@\"],\"dst\":[\"" NET "\"],\"ip\":[\"*\"]}"

static void test_seen(void)
{
	set_policy(GRANT("alice", NET, "\"tag:web\"") "," GRANT(
		"carol", NET, "\"tag:db\""));
	is(&a, "web1=10.44.0.0/16 web2=", "by the primary, which is among them");
	is(&c, "db1=10.44.0.0/16 db2=", "by the first, the primary is not");
	set_policy(GRANT("alice", NET, "\"tag:web\"") "," PLAIN("carol"));
	is(&c, "web1=10.44.0.0/16 web2= db1= db2=", "no via: the primary");
	set_policy(GRANT("carol", NET, "\"tag:db\"") "," PLAIN("carol"));
	is(&c, "web1=10.44.0.0/16 web2= db1= db2=",
	   "with and without a via: the primary");
	set_policy(GRANT("carol", "10.0.0.0/8", "\"tag:db\""));
	is(&c, "db1=10.44.0.0/16 db2= far=10.55.0.0/16",
	   "a destination wider than routes");
	set_policy(GRANT("carol", "10.44.7.0/24", "\"tag:db\""));
	is(&c, "db1=10.44.0.0/16 db2=", "narrower than the route");
	set_policy(GRANT("carol", "10.99.0.0/16", "\"tag:db\""));
	is(&c, "", "behind no router");
	set_policy(GRANT("carol", NET, "\"tag:none\""));
	is(&c, "", "by a tag that no node has");
	set_policy(GRANT("carol", NET, "\"tag:web\",\"tag:db\""));
	is(&c, "web1=10.44.0.0/16 web2= db1= db2=", "by either of two tags");
	set_policy(GRANT("carol", NET, ""));
	is(&c, "web1=10.44.0.0/16 web2= db1= db2=", "an empty via is none");
}

static void test_exit(void)
{
	set_policy(GRANT("alice", "autogroup:internet", "\"tag:web\"") "," GRANT(
		"carol", "autogroup:internet", "\"tag:db\""));
	is(&a, "exit1=0.0.0.0/0,::/0", "an exit node of his own");
	is(&c, "exit2=0.0.0.0/0,::/0", "and of hers");
	set_policy(GRANT("alice", "autogroup:internet", "\"tag:web\"")
		   ",{\"src\":[\"alice@\"],\"dst\":[\"autogroup:internet\"],"
		   "\"ip\":[\"*\"]}");
	is(&a, "exit1=0.0.0.0/0,::/0 exit2=0.0.0.0/0,::/0",
	   "without a via: any exit node");
	set_policy(GRANT("alice", "autogroup:internet", "\"tag:web\"")
		   ",{\"src\":[\"alice@\"],\"dst\":[\"tag:db\"],"
		   "\"ip\":[\"22\"]}");
	is(&a, "db1= db2= far= exit1=0.0.0.0/0,::/0 exit2=",
	   "seen for another reason, but no exit");
}

static void test_failover(void)
{
	set_policy(GRANT("carol", NET, "\"tag:db\""));
	model_node_set_online(model, node(DB1), false, NOW);
	tell_both();
	is(&c, "db1= db2=10.44.0.0/16", "the first goes offline");
	model_node_set_online(model, node(DB1), true, NOW);
	tell_both();
	is(&c, "db1=10.44.0.0/16 db2=", "and is back");
	model_node_set_healthy(model, node(DB1), false);
	tell_both();
	is(&c, "db1= db2=10.44.0.0/16", "does not answer");
	model_node_set_online(model, node(DB2), false, NOW);
	tell_both();
	is(&c, "db1=10.44.0.0/16 db2=", "is better than one that is not there");
	model_node_set_online(model, node(DB1), false, NOW);
	tell_both();
	is(&c, "db1=10.44.0.0/16 db2=",
	   "none of them: not by a router of another tag");
	model_node_set_healthy(model, node(DB1), true);
	model_node_set_online(model, node(DB1), true, NOW);
	model_node_set_online(model, node(DB2), true, NOW);
	model_node_set_online(model, node(WEB1), false, NOW);
	model_node_set_online(model, node(WEB2), false, NOW);
	tell_both();
	is(&c, "db1=10.44.0.0/16 db2=", "the primary now");
	model_node_set_online(model, node(DB1), false, NOW);
	model_node_set_online(model, node(DB1), true, NOW);
	tell_both();
	is(&c, "db1= db2=10.44.0.0/16", "who stays primary, stays here");
	model_node_set_tags(model, node(DB1), (const char *[]){"tag:web"}, 1);
	tell_both();
	is(&c, "db2=10.44.0.0/16", "another tag: another router");
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	log_init("test", false);
	set_up();
	make_nodes();
	stream_open(&a, ids[A], false);
	stream_open(&c, ids[C], true);
	test_seen();
	test_exit();
	test_failover();
	stream_close(&a);
	stream_close(&c);
	tear_down();
	return tap_done();
}
