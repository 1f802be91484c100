// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/store.h"
#include "lib/file.h"
#include "lib/util.h"
#include "tap.h"

static char dir[] = "/tmp/tailrace-store-XXXXXX";
static char state[64], run[64], file[96];

static int count_damaged(void)
{
	char cmd[128];
	FILE *f;
	int n = -1;

	snprintf(cmd, sizeof(cmd), "ls %s/*.damaged-* 2>/dev/null | wc -l",
		 state);
	f = popen(cmd, "r");
	if (f && fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

static int patch(struct prefs *p, const char *json, bool masked)
{
	struct json_object *o = json_tokener_parse(json);
	const char *why;
	int err = prefs_apply(p, o, masked, &why);

	json_object_put(o);
	return err;
}

static void prefs(void)
{
	static const char *const bad_settings[] = {
		"{\"Strict\":1}",
		"{\"Strict\":\"true\"}",
		"{\"FlowTable\":4095}",
		"{\"FlowTable\":-1}",
		"{\"FlowTable\":8192.0}",
		"{\"FlowTable\":\"8192\"}",
		"{\"FlowTable\":16777217}",
		"{\"FlowTable\":8192,\"MaxStaleSeconds\":-1}",
		"{\"MaxStaleSeconds\":315360001}",
		"{\"MaxStaleSeconds\":true}",
		"{\"FlowRecordsSeconds\":86401}",
		"{\"FlowRecordsSeconds\":\"10s\"}",
	};
	struct prefs p;
	size_t i;

	prefs_init(&p);
	tap_ok(!patch(&p, "{\"ShieldsUp\":true}", true) && !p.shields_up,
	       "without its mask a field doesn't count");
	tap_ok(!patch(&p, "{\"ShieldsUp\":true,\"ShieldsUpSet\":true}", true) &&
		       p.shields_up,
	       "with it, it does");
	tap_ok(patch(&p, "{\"AdvertiseRoutes\":[\"10.0.0.1/8\"]}", false) ==
		       -EINVAL,
	       "a route with host bits is refused");
	tap_ok(!patch(&p,
		      "{\"AdvertiseRoutes\":[\"10.2.0.0/16\",\"10.1.0.0/16\","
		      "\"10.2.0.0/16\"]}",
		      false) &&
		       p.n_routes == 2 && p.routes[0].ip.b[1] == 1,
	       "routes are sorted and unique");
	tap_ok(patch(&p, "{\"Hostname\":\"x\",\"AdvertiseTags\":[\"web\"]}",
		     false) == -EINVAL &&
		       !*p.hostname && p.n_routes == 2,
	       "one bad field changes nothing at all");
	tap_ok(patch(&p, "{\"ControlURL\":\"ftp://x\"}", false) == -EINVAL,
	       "the control URL is http or https");
	tap_ok(!patch(&p, "{\"AdvertiseTags\":[\"tag:b\",\"tag:a\"]}", false) &&
		       p.n_tags == 2 && !strcmp(p.tags[0], "tag:a"),
	       "tags");
	tap_ok(!patch(&p,
		      "{\"Strict\":true,\"StrictSet\":true,\"FlowTable\":65536,"
		      "\"FlowTableSet\":true,\"MaxStaleSeconds\":9}",
		      true) &&
		       p.settings.v[SETTING_STRICT] == 1 &&
		       p.settings.v[SETTING_FLOW_TABLE] == 65536 &&
		       p.settings.v[SETTING_MAX_STALE] == SETTING_UNSET,
	       "the module's settings");
	tap_ok(!patch(&p, "{\"Strict\":null,\"MaxStaleSeconds\":0}", false) &&
		       p.settings.v[SETTING_STRICT] == SETTING_UNSET &&
		       p.settings.v[SETTING_FLOW_TABLE] == 65536 &&
		       p.settings.v[SETTING_MAX_STALE] == 0,
	       "null is unset, 0 is not");
	for (i = 0; i < ARRAY_SIZE(bad_settings); i++)
		tap_ok(patch(&p, bad_settings[i], false) == -EINVAL &&
			       p.settings.v[SETTING_FLOW_TABLE] == 65536,
		       "%s is refused", bad_settings[i]);
	tap_ok(!patch(&p, "{\"AdvertiseRoutes\":null}", false) && !p.n_routes,
	       "null is the empty list");
	prefs_uninit(&p);
}

static void survives(void)
{
	struct key machine, disco;
	struct store s;
	struct stat st;

	tap_ok(!store_open(&s, state, run) && !key_is_zero(&s.machine_private),
	       "a new machine gets a key");
	machine = s.machine_private;
	disco = s.disco_private;
	key_generate(&s.node_private);
	patch(&s.prefs, "{\"Hostname\":\"gw\",\"WantRunning\":true,"
			"\"Strict\":true,\"MaxStaleSeconds\":43200}", false);
	tap_ok(!store_save(&s), "saved");
	store_close(&s);
	tap_ok(!stat(file, &st) && (st.st_mode & 0777) == 0600, "mode 0600");
	tap_ok(!store_open(&s, state, run) &&
		       key_equal(&machine, &s.machine_private) &&
		       key_equal(&disco, &s.disco_private) &&
		       !key_is_zero(&s.node_private) && s.prefs.want_running &&
		       !strcmp(s.prefs.hostname, "gw") &&
		       s.prefs.settings.v[SETTING_STRICT] == 1 &&
		       s.prefs.settings.v[SETTING_MAX_STALE] == 43200 &&
		       s.prefs.settings.v[SETTING_FLOW_TABLE] == SETTING_UNSET,
	       "all of it is there at the next start");
	tap_ok(!store_forget_node(&s) && key_is_zero(&s.node_private) &&
		       key_equal(&machine, &s.machine_private),
	       "logging out keeps the machine key");
	store_close(&s);
}

static void spoil(char *out, size_t n, const char *text)
{
	const char *at = strstr(text, "43200");

	snprintf(out, n, "%.*s-%s", at ? (int)(at - text) : 0, text,
		 at ? at : "");
}

static void damaged(void)
{
	static char settings[512];
	const char *const bad[] = {
		"", "{", "[]", "{}", "{\"machineKey\":\"privkey:00\"}",
		"{\"machineKey\":7,\"prefs\":{}}", settings
	};
	struct store s;
	char *text;
	size_t i, n;
	int fd;

	file_read(file, 1 << 20, true, &text, &n);
	/* All of it good but one setting. */
	spoil(settings, sizeof(settings), text);
	tap_ok(strstr(settings, "-43200"), "a state file with a bad setting");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		char cmd[128];

		snprintf(cmd, sizeof(cmd), "rm -f %s/*.damaged-*", state);
		if (system(cmd))
			return;
		file_write(file, bad[i], strlen(bad[i]));
		tap_ok(!store_open(&s, state, run) && s.damaged &&
			       count_damaged() == 1 && access(file, F_OK) == 0,
		       "\"%.*s\" is kept aside and the node starts anew",
		       (int)strcspn(bad[i], "\n"), bad[i]);
		store_close(&s);
	}
	/* Half a file, as after a crash of something less careful. */
	file_write(file, text, n / 2);
	tap_ok(!store_open(&s, state, run) && s.damaged, "half a state file");
	store_close(&s);
	free(text);
	chmod(file, 0644);
	tap_ok(store_open(&s, state, run) == -EPERM,
	       "a state file that others can read is refused");
	chmod(file, 0600);
	fd = open("/dev/null", O_RDONLY);
	tap_ok(fd >= 0 && store_open(&s, "/proc/none", run) < 0,
	       "a directory that cannot be made is an error");
	close(fd);
}

int main(void)
{
	char cmd[64];

	if (!mkdtemp(dir))
		return 1;
	snprintf(state, sizeof(state), "%s/state", dir);
	snprintf(run, sizeof(run), "%s/run", dir);
	snprintf(file, sizeof(file), "%s/tailrace.state", state);
	prefs();
	survives();
	damaged();
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd) | tap_done();
}
