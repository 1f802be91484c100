// SPDX-License-Identifier: GPL-2.0
#include "engine/hostinfo.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/util.h"

/* The value of @name in os-release(5) text, without its quotes. */
static char *release_value(const char *text, const char *name)
{
	size_t n = strlen(name), len;
	const char *line;

	for (line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) != 0 || line[n] != '=')
			continue;
		line += n + 1;
		len = strcspn(line, "\n");
		if (len >= 2 && (*line == '"' || *line == '\'') &&
		    line[len - 1] == *line) {
			line++;
			len -= 2;
		}
		return strndup(line, len);
	}
	return xstrdup("");
}

void hostinfo_fill(struct control_self *self, const struct prefs *prefs)
{
	_cleanup_free_ char *release = NULL;
	struct utsname u;
	char host[256];
	size_t n;

	uname(&u);
	if (file_read("/etc/os-release", 65536, false, &release, &n))
		release = xstrdup("");
	snprintf(host, sizeof(host), "%s",
		 *prefs->hostname ? prefs->hostname : u.nodename);
	host[strcspn(host, ".")] = '\0';
	self->hostname = xstrdup(host);
	self->os_version = xstrdup(u.release);
	self->machine = xstrdup(u.machine);
	self->distro = release_value(release, "ID");
	self->distro_version = release_value(release, "VERSION_ID");
	self->distro_codename = release_value(release, "VERSION_CODENAME");
	self->routes = prefs->routes;
	self->n_routes = prefs->n_routes;
	self->tags = prefs->tags;
	self->n_tags = prefs->n_tags;
	self->shields_up = prefs->shields_up;
}

static void add_latency(struct control_self *self, int region, int family,
			uint64_t ns)
{
	if (!ns || self->n_derp_latency == ARRAY_SIZE(self->derp_latency))
		return;
	snprintf(self->derp_latency[self->n_derp_latency].name,
		 sizeof(self->derp_latency[0].name), "%d-v%d", region, family);
	self->derp_latency[self->n_derp_latency++].seconds =
		(double)ns / (double)SEC_NS;
}

void hostinfo_latencies(struct control_self *self, const struct net_report *r)
{
	size_t i;

	for (i = 0; i < r->n_regions; i++) {
		add_latency(self, r->regions[i].region, 4, r->regions[i].v4_ns);
		add_latency(self, r->regions[i].region, 6, r->regions[i].v6_ns);
	}
}

void hostinfo_free(struct control_self *self)
{
	free(self->hostname);
	free(self->os_version);
	free(self->machine);
	free(self->distro);
	free(self->distro_version);
	free(self->distro_codename);
}
