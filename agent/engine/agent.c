// SPDX-License-Identifier: GPL-2.0
#include "engine/agent.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>

#include "engine/desired.h"
#include "engine/hostinfo.h"
#include "engine/ping.h"
#include "engine/portmapper.h"
#include "engine/relay.h"
#include "engine/udp.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proto/classify.h"

#define TSMP_DISCO 'a'

static void set_text(char **to, const char *text)
{
	free(*to);
	*to = xstrdup(text);
}

const struct netmap *agent_netmap(const struct agent *a)
{
	const struct netmap *nm = a->control ? control_netmap(a->control) :
					       NULL;

	return nm ? nm : a->cached;
}

enum agent_state agent_state(const struct agent *a)
{
	if (a->store.prefs.logged_out || *a->auth_url ||
	    a->control_state == CONTROL_NEEDS_LOGIN)
		return AGENT_NEEDS_LOGIN;
	/* The first login: nothing to say before control has answered. */
	if (key_is_zero(&a->store.node_private))
		return a->control ? AGENT_STARTING : AGENT_NEEDS_LOGIN;
	if (!a->store.prefs.want_running)
		return AGENT_STOPPED;
	if (a->control_state == CONTROL_NEEDS_APPROVAL)
		return AGENT_NEEDS_APPROVAL;
	return agent_netmap(a) ? AGENT_RUNNING : AGENT_STARTING;
}

const char *agent_state_name(enum agent_state s)
{
	switch (s) {
	case AGENT_NEEDS_LOGIN:
		return "NeedsLogin";
	case AGENT_NEEDS_APPROVAL:
		return "NeedsMachineAuth";
	case AGENT_STOPPED:
		return "Stopped";
	case AGENT_STARTING:
		return "Starting";
	case AGENT_RUNNING:
		return "Running";
	}
	return "NoState";
}

/* What others are told about us. */
static void tell_control(struct agent *a)
{
	const struct net_report *r = netcheck_last(a->netcheck);
	struct control_self self = { 0 };
	size_t i;

	if (!a->control)
		return;
	hostinfo_fill(&self, &a->store.prefs);
	key_public(&self.disco_public, &a->store.disco_private);
	self.preferred_derp = derps_home(a->derps);
	self.mapping_varies = r ? r->mapping_varies : -1;
	self.working_ipv6 = r ? r->ipv6 : -1;
	self.os_has_ipv6 = r ? r->os_has_ipv6 : -1;
	self.working_udp = r ? r->udp : -1;
	self.upnp = r ? r->upnp : -1;
	self.pmp = r ? r->pmp : -1;
	self.pcp = r ? r->pcp : -1;
	self.have_port_map = a->n_own && a->own[0].type == ENDPOINT_PORTMAPPED;
	self.endpoints = xcalloc(a->n_own, sizeof(*self.endpoints));
	self.endpoint_types = xcalloc(a->n_own, 1);
	for (i = 0; i < a->n_own; i++) {
		self.endpoints[i] = a->own[i].ep;
		self.endpoint_types[i] = (uint8_t)a->own[i].type;
	}
	self.n_endpoints = a->n_own;
	if (r)
		hostinfo_latencies(&self, r);
	control_set_self(a->control, &self);
	free(self.endpoints);
	free(self.endpoint_types);
	hostinfo_free(&self);
}

/* Peers, routes and policy to the kernel process. */
static void publish(struct agent *a)
{
	const struct netmap *nm = agent_netmap(a);
	struct kernel_state down = { .up = false };
	struct desired d;

	a->published_disco = paths_disco_generation(a->paths);
	if (!a->store.prefs.want_running || !nm ||
	    key_is_zero(&a->node_private)) {
		strncpy(down.ifname, a->config.ifname, sizeof(down.ifname) - 1);
		kernel_publish(a->kernel, &down);
		return;
	}
	desired_build(&d, &(struct desired_input){
				  .netmap = nm,
				  .prefs = &a->store.prefs,
				  .paths = a->paths,
				  .ifname = a->config.ifname,
				  .node_private = &a->node_private,
				  .port = a->config.port,
				  .unix_now = time(NULL),
			  });
	set_text(&a->filter_problem, d.filter_problem ? d.filter_problem : "");
	kernel_publish(a->kernel, &d.state);
	desired_uninit(&d);
}

static void on_save(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	const struct netmap *nm = agent_netmap(a);
	struct json_object *o;

	if (!nm || nm == a->cached)
		return;
	o = netmap_to_json(nm);
	store_save_netmap(&a->store, o);
	json_object_put(o);
}

void agent_netcheck(struct agent *a, bool full)
{
	const struct netmap *nm = agent_netmap(a);
	struct netcheck_input in = { .full = full };
	struct interface_addr *addrs = NULL;
	int n, err;

	/* Without the shared port the mapping is not the one that matters. */
	if (!nm || !a->wg_port)
		return;
	n = interface_addrs(&addrs, a->config.ifname);
	if (n > 0)
		interface_families(addrs, (size_t)n, &in.have_v4, &in.have_v6);
	free(addrs);
	in.regions = nm->derp_regions;
	in.home = derps_home(a->derps);
	err = netcheck_start(a->netcheck, &in);
	a->netcheck_again = err == -EBUSY;
}

static void arm_periodic(struct agent *a)
{
	/* Under the usual 30 s of NAT mappings, and not all at once. */
	struct timeval tv = { 20 + randombytes_uniform(6),
			      randombytes_uniform(1000000) };

	if (paths_any_active(a->paths))
		evtimer_add(a->periodic, &tv);
	else
		evtimer_del(a->periodic);
}

static void on_periodic(evutil_socket_t fd, short what, void *arg)
{
	agent_netcheck(arg, false);
}

/* A netcheck has finished, or an interface changed: assemble and publish. */
static void refresh_endpoints(struct agent *a, const struct net_report *r)
{
	struct own_endpoint own[ENDPOINTS_MAX];
	struct endpoint eps[ENDPOINTS_MAX];
	struct interface_addr *addrs = NULL;
	struct endpoints_input in = {
		.now = now_ns(),
		.report = r,
		.local_port = a->wg_port,
		.fixed_port = a->config.port != 0,
	};
	int n = interface_addrs(&addrs, a->config.ifname);
	size_t i;

	portmapper_get(a->portmapper, &in.portmap);
	in.interfaces = addrs;
	in.n_interfaces = n > 0 ? (size_t)n : 0;
	a->n_own = endpoints_assemble(&in, &a->endpoint_cache, own);
	memcpy(a->own, own, sizeof(own));
	free(addrs);
	for (i = 0; i < a->n_own; i++)
		eps[i] = own[i].ep;
	paths_set_endpoints(a->paths, eps, a->n_own);
	tell_control(a);
}

static void on_netcheck_done(void *ctx, const struct net_report *r)
{
	struct agent *a = ctx;
	const struct netmap *nm = agent_netmap(a);
	int home = derps_home(a->derps), next;

	if (nm) {
		next = net_home_settle(r->preferred_derp, home,
				       a->control_state == CONTROL_STREAMING,
				       false, nm->derp_regions,
				       get_be32(a->store.machine_private.b));
		if (next != home)
			derps_set_home(a->derps, next);
	}
	derps_set_prefer_ipv6(a->derps, r->ipv6);
	refresh_endpoints(a, r);
	arm_periodic(a);
	if (a->netcheck_again)
		agent_netcheck(a, false);
}

static void on_portmap_changed(void *ctx)
{
	agent_netcheck(ctx, false);
}

static int netcheck_send(void *ctx, const struct endpoint *to,
			 const uint8_t *data, size_t n)
{
	return udp_send(((struct agent *)ctx)->udp, to, data, n);
}

static const struct netcheck_ops netcheck_ops = {
	.send_udp = netcheck_send,
	.done = on_netcheck_done,
};

static void on_udp(void *ctx, const struct endpoint *from, const uint8_t *data,
		   size_t n)
{
	struct agent *a = ctx;

	switch (classify_udp(data, n)) {
	case PACKET_STUN:
		netcheck_on_stun(a->netcheck, from, data, n, now_ns());
		return;
	case PACKET_DISCO:
		paths_udp_input(a->paths, from, data, n);
		return;
	case PACKET_WIREGUARD:
	case PACKET_GENEVE_DISCO:
	case PACKET_GENEVE_WIREGUARD:
		/* The module keeps WireGuard; peer relays are not used. */
		return;
	}
}

static void on_relay(void *ctx, uint32_t peer, const uint8_t *data, size_t n)
{
	paths_relay_input(((struct agent *)ctx)->paths, peer, data, n);
}

/* What paths need. */

static int paths_send_udp(void *ctx, const struct endpoint *to,
			  const void *data, size_t n)
{
	return udp_send(((struct agent *)ctx)->udp, to, data, n);
}

static int paths_send_derp(void *ctx, int region, const struct key *dst,
			   const void *data, size_t n)
{
	struct agent *a = ctx;

	region = derps_pick(a->derps, dst, region);
	return region ? derps_send(a->derps, region, dst, data, n) :
			-ENETUNREACH;
}

static void paths_inject(void *ctx, uint32_t peer, const void *data, size_t n)
{
	struct agent *a = ctx;

	if (a->relay)
		relay_inject(a->relay, peer, data, n);
}

static void paths_publish(void *ctx, const struct kernel_path *path)
{
	kernel_set_path(((struct agent *)ctx)->kernel, path);
}

static void paths_refresh(void *ctx)
{
	agent_netcheck(ctx, false);
}

static const struct paths_ops paths_ops = {
	.send_udp = paths_send_udp,
	.send_derp = paths_send_derp,
	.inject = paths_inject,
	.publish = paths_publish,
	.refresh = paths_refresh,
};

/* What DERP says. */

static void on_derp(void *ctx, int region, const struct key *src,
		    const uint8_t *data, size_t n)
{
	paths_derp_input(((struct agent *)ctx)->paths, region, src, data, n);
}

static void on_derp_gone(void *ctx, int region, const struct key *peer,
			 uint8_t reason)
{
	char text[8];

	log_debug("derp-%d: %s is gone (%u)", region, key_short(peer, text),
		  reason);
}

static void on_derp_connected(void *ctx, int region)
{
	log_info("derp-%d: connected", region);
}

static void on_derp_disconnected(void *ctx, int region, const char *why)
{
	log_info("derp-%d: %s", region, why);
	agent_netcheck(ctx, false);
}

static void on_derp_health(void *ctx, int region, const char *text)
{
	if (*text)
		log_warn("derp-%d says: %s", region, text);
}

static int marked_socket(void *ctx, int family)
{
	return kernel_socket_tcp(((struct agent *)ctx)->kernel, family);
}

static const struct derps_ops derps_ops = {
	.recv = on_derp,
	.peer_gone = on_derp_gone,
	.connected = on_derp_connected,
	.disconnected = on_derp_disconnected,
	.health = on_derp_health,
	.tcp_socket = marked_socket,
};

/* What control says. */

static void on_control_state(void *ctx, enum control_state s, const char *error)
{
	struct agent *a = ctx;
	char text[1024] = "";

	if (*error)
		snprintf(text, sizeof(text), "control server %s: %s",
			 a->store.prefs.control_url, error);
	if (*text && strcmp(text, a->control_error))
		log_warn("%s", text);
	if (s == CONTROL_STREAMING && a->control_state != s)
		log_info("control server %s: connected",
			 a->store.prefs.control_url);
	a->control_state = s;
	set_text(&a->control_error, text);
}

static void on_auth_url(void *ctx, const char *url)
{
	struct agent *a = ctx;

	set_text(&a->auth_url, url);
	if (*url)
		log_info("to authenticate, visit: %s", url);
}

static void use_node_key(struct agent *a, const struct key *node)
{
	a->node_private = *node;
	derps_set_key(a->derps, node);
	paths_set_keys(a->paths, node, &a->store.disco_private);
}

static bool is_key_of(const struct key *private_key, const struct key *public_key)
{
	struct key k;

	if (key_is_zero(private_key))
		return false;
	key_public(&k, private_key);
	return key_equal(&k, public_key);
}

/* Takes the key that the netmap knows us by. */
static void follow_node_key(struct agent *a, const struct netmap *nm)
{
	const struct key *known[] = { &a->store.node_private,
				      &a->store.old_node_private };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (is_key_of(known[i], &nm->self->key)) {
			if (!key_equal(known[i], &a->node_private))
				use_node_key(a, known[i]);
			return;
		}
}

static int on_node_key(void *ctx, const struct key *node, const struct key *old)
{
	struct agent *a = ctx;
	int err;

	a->store.node_private = *node;
	a->store.old_node_private = *old;
	a->store.prefs.logged_out = false;
	err = store_save(&a->store);
	if (key_is_zero(node) || key_is_zero(&a->node_private))
		use_node_key(a, node);
	return err;
}

/* A netmap is in force, @changed parts of it new. */
static void apply_netmap(struct agent *a, const struct netmap *nm,
			 unsigned int changed)
{
	int only;

	if (changed & NETMAP_SELF)
		follow_node_key(a, nm);
	if (changed & NETMAP_DERP) {
		derps_set_map(a->derps, nm->derp_regions);
		only = net_home_only(nm->derp_regions);
		if (only && !derps_home(a->derps)) {
			derps_set_home(a->derps, only);
			tell_control(a);
		}
	}
	if (changed & (NETMAP_PEERS | NETMAP_PEER_PATHS))
		paths_set_netmap(a->paths, nm, time(NULL));
	if (changed & (NETMAP_SELF | NETMAP_PEERS | NETMAP_FILTER) ||
	    a->published_disco != paths_disco_generation(a->paths))
		publish(a);
	if (changed & NETMAP_DERP || !derps_home(a->derps))
		agent_netcheck(a, true);
}

static void on_netmap(void *ctx, const struct netmap *nm, unsigned int changed)
{
	struct timeval soon = { 2, 0 };
	struct agent *a = ctx;

	if (a->cached) {
		netmap_free(a->cached);
		a->cached = NULL;
		changed = NETMAP_ALL;
	}
	apply_netmap(a, nm, changed);
	if (!evtimer_pending(a->save, NULL))
		evtimer_add(a->save, &soon);
}

/* Neither keys nor netmap: the device goes, preferences stay. */
static void forget_login(struct agent *a)
{
	struct key none = { 0 };

	set_text(&a->auth_url, "");
	store_forget_node(&a->store);
	use_node_key(a, &none);
	if (a->cached)
		netmap_free(a->cached);
	a->cached = NULL;
}

static void stop_control(struct agent *a)
{
	if (a->control)
		control_free(a->control);
	a->control = NULL;
	a->control_state = CONTROL_STOPPED;
	set_text(&a->control_error, "");
}

static void on_free_control(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;

	/* Not if someone has logged in again meanwhile. */
	if (!a->store.prefs.logged_out)
		return;
	stop_control(a);
	publish(a);
}

static void on_logged_out(void *ctx)
{
	struct agent *a = ctx;
	struct timeval now = { 0, 0 };

	log_info("logged out");
	a->store.prefs.logged_out = true;
	a->store.prefs.want_running = false;
	forget_login(a);
	/* Control is still on the stack. */
	event_base_once(a->base, -1, EV_TIMEOUT, on_free_control, a, &now);
}

static const struct control_ops control_ops = {
	.state = on_control_state,
	.auth_url = on_auth_url,
	.node_key = on_node_key,
	.netmap = on_netmap,
	.logged_out = on_logged_out,
	.tcp_socket = marked_socket,
};

static void start_control(struct agent *a, const char *auth_key)
{
	struct control_config config = {
		.server_url = a->store.prefs.control_url,
		.ca_file = a->config.ca_file,
		.machine_private = a->store.machine_private,
		.node_private = a->store.node_private,
		.old_node_private = a->store.old_node_private,
		.auth_key = auth_key,
	};

	a->control = control_new(a->base, a->dns, &config, &control_ops, a);
	key_wipe(&config.machine_private);
	key_wipe(&config.node_private);
	key_wipe(&config.old_node_private);
	if (!a->control) {
		set_text(&a->control_error,
			 "the control URL or the file of extra certificates "
			 "cannot be used; see the log");
		return;
	}
	tell_control(a);
	control_start(a->control);
}

/* What the kernel says. */

static uint16_t relay_port(const struct agent *a)
{
	/* Beside WireGuard's, so that two tailnets don't collide. */
	return (uint16_t)(a->wg_port == 65535 ? 1024 : a->wg_port + 1);
}

/* Paths that an agent before us proved stay in use while we prove them. */
static void on_adopt(void *ctx, const struct kernel_peer_stats *s, size_t n,
		     const char *device_json)
{
	struct agent *a = ctx;
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i].endpoint.ip.family && !ip_is_loopback(&s[i].endpoint.ip))
			paths_adopt(a->paths, s[i].peer, &s[i].endpoint);
	paths_set_relay_port(a->paths, relay_port(a));
	agent_netcheck(a, true);
}

static void on_applied(void *ctx, int link, uint16_t port, const char *error)
{
	struct agent *a = ctx;

	if (*error && strcmp(error, a->kernel_error))
		log_error("kernel: %s", error);
	set_text(&a->kernel_error, error);
	if (!port || port == a->wg_port)
		return;
	a->wg_port = port;
	portmapper_set_port(a->portmapper, port);
	if (a->relay)
		relay_free(a->relay);
	a->relay = relay_new(a->base, relay_port(a), port, on_relay, a);
	if (!a->relay)
		log_error("cannot relay on loopback port %u: %s", relay_port(a),
			  strerror(errno));
	kernel_get_stats(a->kernel, on_adopt, a);
}

static void on_peer_active(void *ctx, uint32_t peer)
{
	struct agent *a = ctx;

	paths_peer_active(a->paths, peer);
	if (!evtimer_pending(a->periodic, NULL))
		arm_periodic(a);
}

static void on_peer_idle(void *ctx, uint32_t peer)
{
	paths_peer_idle(((struct agent *)ctx)->paths, peer);
}

static void on_roamed(void *ctx, uint32_t peer, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	log_debug("WireGuard follows peer %06x to %s", peer,
		  endpoint_format(e, text));
}

static void on_tsmp(void *ctx, const struct ip_addr *src,
		    const struct ip_addr *dst, const uint8_t *data, size_t n)
{
	struct agent *a = ctx;
	const struct netmap *nm = agent_netmap(a);
	const struct node *peer = nm ? netmap_peer_by_addr(nm, src) : NULL;
	struct key disco;

	if (peer && n >= 1 + KEY_LEN && data[0] == TSMP_DISCO) {
		memcpy(disco.b, data + 1, KEY_LEN);
		paths_advertised(a->paths, &peer->key, &disco);
		if (a->published_disco != paths_disco_generation(a->paths))
			publish(a);
		return;
	}
	ping_on_tsmp(a, data, n);
}

/* nat-traversal.md 13: what was proven holds while our addresses stay. */
static bool addresses_changed(struct agent *a)
{
	struct interface_addr *addrs = NULL;
	int n = interface_addrs(&addrs, a->config.ifname);
	bool same = n == a->n_interfaces &&
		    (n <= 0 || !memcmp(addrs, a->interfaces,
				       (size_t)n * sizeof(*addrs)));

	free(a->interfaces);
	a->interfaces = addrs;
	a->n_interfaces = n;
	return !same;
}

static void on_link_changed(void *ctx)
{
	struct agent *a = ctx;

	if (!addresses_changed(a)) {
		agent_netcheck(a, false);
		return;
	}
	log_info("the host's addresses changed");
	derps_link_changed(a->derps);
	if (a->control)
		control_link_changed(a->control);
	paths_reset(a->paths);
	agent_netcheck(a, false);
}

static void on_kernel_lost(void *ctx)
{
	struct agent *a = ctx;

	log_error("the kernel process is gone");
	event_base_loopbreak(a->base);
}

static const struct kernel_ops kernel_ops = {
	.applied = on_applied,
	.peer_active = on_peer_active,
	.peer_idle = on_peer_idle,
	.roamed = on_roamed,
	.tsmp = on_tsmp,
	.link_changed = on_link_changed,
	.lost = on_kernel_lost,
};

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	const struct netmap *nm = agent_netmap(a);

	if (!nm)
		return;
	paths_set_netmap(a->paths, nm, time(NULL));
	publish(a);
}

struct agent *agent_new(struct event_base *base,
			const struct agent_config *config)
{
	struct timeval minute = { 60, 0 };
	struct agent *a = xcalloc(1, sizeof(*a));

	a->config = *config;
	a->base = base;
	if (store_open(&a->store, config->state_dir, config->run_dir)) {
		free(a);
		return NULL;
	}
	a->control_error = xstrdup("");
	a->kernel_error = xstrdup("");
	a->filter_problem = xstrdup("");
	a->auth_url = xstrdup("");
	a->dns = evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
					      EVDNS_BASE_DISABLE_WHEN_INACTIVE |
					      EVDNS_BASE_NAMESERVERS_NO_DEFAULT);
	a->kernel = kernel_new(base, config->kernel_stream,
			       config->kernel_broker, &kernel_ops, a);
	a->udp = udp_new(base, kernel_socket_steer(a->kernel, AF_INET),
			 kernel_socket_steer(a->kernel, AF_INET6), on_udp, a);
	a->derps = derps_new(base, a->dns, &derps_ops, a);
	if (config->ca_file && derps_add_roots(a->derps, config->ca_file))
		log_error("cannot read certificates from %s", config->ca_file);
	a->netcheck = netcheck_new(base, a->dns, a->derps, &netcheck_ops, a);
	a->portmapper = portmapper_new(base, on_portmap_changed, a);
	netcheck_set_portmapper(a->netcheck, a->portmapper);
	a->paths = paths_new(base, &paths_ops, a);
	addresses_changed(a);
	a->periodic = evtimer_new(base, on_periodic, a);
	a->save = evtimer_new(base, on_save, a);
	a->expiry = event_new(base, -1, EV_PERSIST, on_expiry, a);
	event_add(a->expiry, &minute);
	return a;
}

static void load_cached(struct agent *a)
{
	struct json_object *o = store_load_netmap(&a->store);
	const char *why;

	if (!o)
		return;
	a->cached = netmap_new();
	if (netmap_apply(a->cached, o, true, time(NULL), &why) < 0) {
		log_warn("the saved netmap is of no use: %s", why);
		netmap_free(a->cached);
		a->cached = NULL;
	}
	json_object_put(o);
	if (a->cached)
		apply_netmap(a, a->cached, NETMAP_ALL);
}

void agent_start(struct agent *a)
{
	use_node_key(a, &a->store.node_private);
	if (!a->store.prefs.want_running ||
	    key_is_zero(&a->store.node_private)) {
		publish(a);
		return;
	}
	load_cached(a);
	start_control(a, NULL);
}

void agent_free(struct agent *a)
{
	while (a->pings)
		agent_ping_cancel(a->pings);
	on_save(-1, 0, a);
	stop_control(a);
	event_free(a->save);
	event_free(a->expiry);
	event_free(a->periodic);
	paths_free(a->paths);
	netcheck_free(a->netcheck);
	portmapper_free(a->portmapper);
	derps_free(a->derps);
	if (a->relay)
		relay_free(a->relay);
	udp_free(a->udp);
	kernel_free(a->kernel);
	evdns_base_free(a->dns, 0);
	if (a->cached)
		netmap_free(a->cached);
	free(a->interfaces);
	free(a->control_error);
	free(a->kernel_error);
	free(a->filter_problem);
	free(a->auth_url);
	key_wipe(&a->node_private);
	store_close(&a->store);
	free(a);
}

int agent_patch_prefs(struct agent *a, struct json_object *o, bool masked,
		      const char **why)
{
	_cleanup_free_ char *url = xstrdup(a->store.prefs.control_url);
	bool wanted = a->store.prefs.want_running;
	int err;

	err = prefs_apply(&a->store.prefs, o, masked, why);
	if (err)
		return err;
	err = store_save(&a->store);
	if (err) {
		*why = "cannot be saved";
		return err;
	}
	/* Another server is another tailnet: its keys and netmap go. */
	if (strcmp(url, a->store.prefs.control_url)) {
		stop_control(a);
		forget_login(a);
	}
	if (a->store.prefs.want_running && !wanted && !a->control &&
	    !key_is_zero(&a->store.node_private)) {
		load_cached(a);
		start_control(a, NULL);
	} else if (!a->store.prefs.want_running && wanted) {
		on_save(-1, 0, a);
		stop_control(a);
	}
	derps_set_network(a->derps, a->store.prefs.want_running);
	tell_control(a);
	publish(a);
	return 0;
}

void agent_login(struct agent *a, const char *auth_key, bool force)
{
	a->store.prefs.logged_out = false;
	if (a->control)
		control_login(a->control, auth_key, force);
	else
		start_control(a, auth_key);
}

void agent_logout(struct agent *a)
{
	if (key_is_zero(&a->store.node_private)) {
		a->store.prefs.logged_out = true;
		a->store.prefs.want_running = false;
		stop_control(a);
		forget_login(a);
		publish(a);
		return;
	}
	if (!a->control)
		start_control(a, NULL);
	if (a->control)
		control_logout(a->control);
}
