// SPDX-License-Identifier: GPL-2.0
#include "engine/agent.h"

#include <event2/event.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "engine/agent_internal.h"
#include "engine/desired.h"
#include "lib/log.h"
#include "lib/resolver.h"

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

void agent_publish(struct agent *a)
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
				  .defaults = &a->config.defaults,
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

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	const struct netmap *nm = agent_netmap(a);

	if (!nm)
		return;
	paths_set_netmap(a->paths, nm, time(NULL));
	agent_publish(a);
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
	a->resolver = resolver_new(base, RESOLV_CONF);
	if (!a->resolver)
		abort();
	agent_init_kernel(a);
	agent_init_net(a);
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
	/* A keepalive is accepted, too. */
	if (netmap_apply(a->cached, o, true, time(NULL), &why) < 0 ||
	    !a->cached->self) {
		log_warn("the saved netmap is of no use: %s",
			 why ? why : "no Node");
		netmap_free(a->cached);
		a->cached = NULL;
	}
	json_object_put(o);
	if (a->cached)
		agent_apply_netmap(a, a->cached, NETMAP_ALL);
}

void agent_start(struct agent *a)
{
	agent_use_node_key(a, &a->store.node_private);
	if (!a->store.prefs.want_running ||
	    key_is_zero(&a->store.node_private)) {
		agent_publish(a);
		return;
	}
	load_cached(a);
	agent_start_control(a, NULL);
}

void agent_free(struct agent *a)
{
	while (a->pings)
		agent_ping_cancel(a->pings);
	on_save(-1, 0, a);
	agent_stop_control(a);
	event_free(a->save);
	event_free(a->expiry);
	agent_uninit_net(a);
	agent_uninit_kernel(a);
	resolver_free(a->resolver);
	if (a->cached)
		netmap_free(a->cached);
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
		agent_stop_control(a);
		agent_forget_login(a);
	}
	if (a->store.prefs.want_running && !wanted && !a->control &&
	    !key_is_zero(&a->store.node_private)) {
		load_cached(a);
		agent_start_control(a, NULL);
	} else if (!a->store.prefs.want_running && wanted) {
		on_save(-1, 0, a);
		agent_stop_control(a);
	}
	derps_set_network(a->derps, a->store.prefs.want_running);
	agent_tell_control(a);
	agent_publish(a);
	return 0;
}

void agent_login(struct agent *a, const char *auth_key, bool force)
{
	a->store.prefs.logged_out = false;
	if (a->control)
		control_login(a->control, auth_key, force);
	else
		agent_start_control(a, auth_key);
}

void agent_logout(struct agent *a)
{
	if (key_is_zero(&a->store.node_private)) {
		a->store.prefs.logged_out = true;
		a->store.prefs.want_running = false;
		agent_stop_control(a);
		agent_forget_login(a);
		agent_publish(a);
		return;
	}
	if (!a->control)
		agent_start_control(a, NULL);
	if (a->control)
		control_logout(a->control);
}
