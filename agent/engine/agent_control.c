// SPDX-License-Identifier: GPL-2.0
/* The session with control: what it says, what it is told. */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/agent_internal.h"
#include "engine/hostinfo.h"
#include "lib/log.h"
#include "lib/resolver.h"

void agent_tell_control(struct agent *a)
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

void agent_use_node_key(struct agent *a, const struct key *node)
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
				agent_use_node_key(a, known[i]);
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
		agent_use_node_key(a, node);
	return err;
}

void agent_apply_netmap(struct agent *a, const struct netmap *nm,
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
			agent_tell_control(a);
		}
	}
	if (changed & (NETMAP_PEERS | NETMAP_PEER_PATHS))
		paths_set_netmap(a->paths, nm, time(NULL));
	if (changed & (NETMAP_SELF | NETMAP_PEERS | NETMAP_FILTER) ||
	    a->published_disco != paths_disco_generation(a->paths))
		agent_publish(a);
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
	agent_apply_netmap(a, nm, changed);
	if (!evtimer_pending(a->save, NULL))
		evtimer_add(a->save, &soon);
}

void agent_forget_login(struct agent *a)
{
	struct key none = { 0 };

	set_text(&a->auth_url, "");
	store_forget_node(&a->store);
	agent_use_node_key(a, &none);
	if (a->cached)
		netmap_free(a->cached);
	a->cached = NULL;
}

void agent_stop_control(struct agent *a)
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
	agent_stop_control(a);
	agent_publish(a);
}

static void on_logged_out(void *ctx)
{
	struct agent *a = ctx;
	struct timeval now = { 0, 0 };

	log_info("logged out");
	a->store.prefs.logged_out = true;
	a->store.prefs.want_running = false;
	agent_forget_login(a);
	/* Control is still on the stack. */
	event_base_once(a->base, -1, EV_TIMEOUT, on_free_control, a, &now);
}

static const struct control_ops control_ops = {
	.state = on_control_state,
	.auth_url = on_auth_url,
	.node_key = on_node_key,
	.netmap = on_netmap,
	.logged_out = on_logged_out,
	.tcp_socket = agent_tcp_socket,
};

void agent_start_control(struct agent *a, const char *auth_key)
{
	struct control_config config = {
		.server_url = a->store.prefs.control_url,
		.ca_file = a->config.ca_file,
		.machine_private = a->store.machine_private,
		.node_private = a->store.node_private,
		.old_node_private = a->store.old_node_private,
		.auth_key = auth_key,
	};

	a->control = control_new(a->base, a->resolver->dns, &config, &control_ops, a);
	key_wipe(&config.machine_private);
	key_wipe(&config.node_private);
	key_wipe(&config.old_node_private);
	if (!a->control) {
		set_text(&a->control_error,
			 "the control URL or the file of extra certificates "
			 "cannot be used; see the log");
		return;
	}
	agent_tell_control(a);
	control_start(a->control);
}
