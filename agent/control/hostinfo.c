// SPDX-License-Identifier: GPL-2.0
#include "control/hostinfo.h"

#include <json.h>
#include <math.h>
#include <string.h>

#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

#define IPN_VERSION "0.1.0-tailrace"

void json_put_text(struct json_object *o, const char *name, const char *value)
{
	if (value && *value)
		json_object_object_add(o, name, json_object_new_string(value));
}

void json_put_bool(struct json_object *o, const char *name, bool value)
{
	if (value)
		json_object_object_add(o, name, json_object_new_boolean(1));
}

/* Optional: -1 is left out, 0 is said. */
static void put_opt(struct json_object *o, const char *name, int value)
{
	if (value >= 0)
		json_object_object_add(o, name, json_object_new_boolean(value));
}

static const char *go_arch(const char *machine)
{
	static const char *const names[][2] = {
		{"x86_64", "amd64"},	{"aarch64", "arm64"},
		{"riscv64", "riscv64"}, {"s390x", "s390x"},
		{"ppc64le", "ppc64le"}, {"i686", "386"},
	};
	size_t i;

	for (i = 0; machine && i < ARRAY_SIZE(names); i++)
		if (!strcmp(machine, names[i][0]))
			return names[i][1];
	return NULL;
}

static struct json_object *netinfo_encode(const struct control_self *self,
					  bool with_latency)
{
	struct json_object *o = json_object_new_object();
	struct json_object *latency;
	size_t i;

	put_opt(o, "MappingVariesByDestIP", self->mapping_varies);
	put_opt(o, "WorkingIPv6", self->working_ipv6);
	put_opt(o, "OSHasIPv6", self->os_has_ipv6);
	put_opt(o, "WorkingUDP", self->working_udp);
	put_opt(o, "UPnP", self->upnp);
	put_opt(o, "PMP", self->pmp);
	put_opt(o, "PCP", self->pcp);
	json_put_bool(o, "HavePortMap", self->have_port_map);
	if (self->preferred_derp > 0)
		json_object_object_add(
			o, "PreferredDERP",
			json_object_new_int(self->preferred_derp));
	if (!with_latency || !self->n_derp_latency)
		return o;
	latency = json_object_new_object();
	for (i = 0; i < self->n_derp_latency; i++)
		if (isfinite(self->derp_latency[i].seconds))
			json_object_object_add(
				latency, self->derp_latency[i].name,
				json_object_new_double(
					self->derp_latency[i].seconds));
	json_object_object_add(o, "DERPLatency", latency);
	return o;
}

struct json_object *hostinfo_encode(const struct control_self *self,
				    bool with_latency)
{
	struct json_object *o = json_object_new_object();

	json_put_text(o, "IPNVersion", IPN_VERSION);
	json_put_text(o, "OS", "linux");
	json_put_text(o, "OSVersion", self->os_version);
	json_put_text(o, "Hostname", self->hostname);
	json_put_text(o, "Machine", self->machine);
	json_put_text(o, "GoArch", go_arch(self->machine));
	json_put_text(o, "Distro", self->distro);
	json_put_text(o, "DistroVersion", self->distro_version);
	json_put_text(o, "DistroCodeName", self->distro_codename);
	json_put_bool(o, "ShieldsUp", self->shields_up);
	json_put_bool(o, "NoLogsNoSupport", true);
	if (self->n_routes)
		json_object_object_add(o, "RoutableIPs",
				       json_from_prefixes(self->routes,
							  self->n_routes));
	if (self->n_tags)
		json_object_object_add(o, "RequestTags",
				       json_from_strings(self->tags,
							 self->n_tags));
	json_object_object_add(o, "NetInfo",
			       netinfo_encode(self, with_latency));
	return o;
}

void control_self_clear(struct control_self *self)
{
	free(self->hostname);
	free(self->os_version);
	free(self->distro);
	free(self->distro_version);
	free(self->distro_codename);
	free(self->machine);
	free(self->routes);
	free_strings(self->tags, self->n_tags);
	free(self->endpoints);
	free(self->endpoint_types);
	memset(self, 0, sizeof(*self));
	self->mapping_varies = self->working_ipv6 = self->os_has_ipv6 = -1;
	self->working_udp = self->upnp = self->pmp = self->pcp = -1;
}

static void *copy_array(const void *from, size_t n, size_t size)
{
	return n ? memcpy(xcalloc(n, size), from, n * size) : NULL;
}

void control_self_copy(struct control_self *to, const struct control_self *from)
{
	size_t i;

	control_self_clear(to);
	*to = *from;
	to->hostname = xstrdup(from->hostname);
	to->os_version = xstrdup(from->os_version);
	to->distro = xstrdup(from->distro);
	to->distro_version = xstrdup(from->distro_version);
	to->distro_codename = xstrdup(from->distro_codename);
	to->machine = xstrdup(from->machine);
	to->routes =
		copy_array(from->routes, from->n_routes, sizeof(*to->routes));
	to->endpoints = copy_array(from->endpoints, from->n_endpoints,
				   sizeof(*to->endpoints));
	to->endpoint_types = copy_array(from->endpoint_types, from->n_endpoints,
					sizeof(*to->endpoint_types));
	to->tags = from->n_tags ? xcalloc(from->n_tags, sizeof(char *)) : NULL;
	for (i = 0; i < from->n_tags; i++)
		to->tags[i] = xstrdup(from->tags[i]);
}
