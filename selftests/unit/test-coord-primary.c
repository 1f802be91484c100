// SPDX-License-Identifier: GPL-2.0
/* Which router is primary, across failures and restarts of the server. */
#include <sodium.h>
#include <time.h>

#include "coord-model.h"
#include "lib/log.h"
#include "tap.h"

static char path[96];
static struct model *model;
static struct prefix route;

static int64_t router(unsigned int i, struct coord_user *u)
{
	struct registration r = test_node(i, "router");
	struct json_object *list = json_object_new_array();
	struct coord_node *n;

	json_object_array_add(list, json_object_new_string("10.9.0.0/16"));
	json_object_object_add(r.hostinfo, "RoutableIPs", list);
	if (model_register_user(model, &r, u, 1000, &n) ||
	    model_node_approve_routes(model, n, &route, 1))
		abort();
	json_object_put(r.hostinfo);
	return n->id;
}

static int64_t primary(void)
{
	struct coord_route *r = model_route(model, &route);

	return r && r->primary ? r->primary->id : 0;
}

static void online(int64_t node, bool so)
{
	model_node_set_online(model, model_node(model, node), so, 1000);
}

static void restart(void)
{
	model_close(model);
	model = test_open(path);
	if (!model)
		abort();
}

int main(void)
{
	struct coord_user *u;
	int64_t a, b;
	char dir[64];

	if (sodium_init() < 0)
		return 1;
	log_init("test", false);
	test_directory(dir);
	snprintf(path, sizeof(path), "%s/db", dir);
	prefix_parse(&route, "10.9.0.0/16");
	model = test_open(path);
	if (!model || model_user_create(model, "u", NULL, NULL, NULL, &u))
		return 1;
	a = router(1, u);
	b = router(2, u);
	tap_ok(primary() == a, "with nobody there, the first");
	online(b, true);
	tap_ok(primary() == b, "then who is there");
	online(a, true);
	tap_ok(primary() == b, "it stays while it is there");
	model_node_set_healthy(model, model_node(model, b), false);
	tap_ok(primary() == a, "and answers");
	model_node_set_healthy(model, model_node(model, b), true);
	tap_ok(primary() == a, "who took over keeps it");
	online(a, false);
	tap_ok(primary() == b, "and loses it when gone");
	restart();
	tap_ok(primary() == b, "a restart does not change it");
	online(a, true);
	tap_ok(primary() == b, "whoever comes back first");
	model_tick(model, 2000);
	model_tick(model, 2000 + MODEL_RETURN_S - 1);
	tap_ok(primary() == b, "for a while");
	model_tick(model, 2000 + MODEL_RETURN_S);
	tap_ok(primary() == a, "but not for ever");
	restart();
	online(a, true);
	online(b, true);
	model_tick(model, 3000);
	model_tick(model, 3000 + MODEL_RETURN_S);
	tap_ok(primary() == a, "who is back in time keeps it");
	online(a, false);
	tap_ok(primary() == b, "and is not waited for any more");
	model_close(model);
	test_remove(dir);
	return tap_done();
}
