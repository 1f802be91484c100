/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_PREFS_H
#define ENGINE_PREFS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/settings.h"
#include "lib/addr.h"

/* What the user asked for; JSON names are those of the LocalAPI. */
struct prefs {
	char *control_url; /* ControlURL */
	char *hostname; /* Hostname; "": the host's */
	bool want_running; /* WantRunning */
	bool logged_out; /* LoggedOut */
	bool accept_routes; /* RouteAll */
	bool shields_up; /* ShieldsUp */
	struct prefix *routes; /* AdvertiseRoutes; sorted, no duplicates */
	size_t n_routes;
	char **tags; /* AdvertiseTags; sorted, no duplicates */
	size_t n_tags;
	struct settings settings; /* each in its own name; null: unset */
};

#define PREFS_DEFAULT_CONTROL "https://controlplane.tailscale.com"

struct json_object;

void prefs_init(struct prefs *p);
void prefs_uninit(struct prefs *p);

/*
 * Changes what @o names, leaves the rest. With @masked a field counts only
 * beside "<Field>Set": true, as in a PATCH. All or nothing: -EINVAL with @why
 * naming the field. Unknown fields are ignored, as the reference does.
 */
int prefs_apply(struct prefs *p, struct json_object *o, bool masked,
		const char **why);
struct json_object *prefs_to_json(const struct prefs *p);

#endif
