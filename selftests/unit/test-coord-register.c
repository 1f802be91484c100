// SPDX-License-Identifier: GPL-2.0
/* Who may join, as whom, until when, and what the others are told. */
#include <sodium.h>

#include "coord-model.h"
#include "coord/derpmap.h"
#include "coord/map_request.h"
#include "coord/register.h"
#include "lib/json.h"
#include "lib/log.h"
#include "tap.h"

#define NOW 1800000000

static struct model *model;
static struct policy *policy;
static struct coord_user *alice, *bob;
static struct register_config config = {.server_url = "https://c", .min_version = 113};

static struct key key_of(unsigned int i)
{
	struct key k = {{0}};

	k.b[0] = (uint8_t)i;
	k.b[31] = 1;
	return k;
}

struct request {
	unsigned int machine, key, old_key;
	const char *auth_key, *followup, *tags;
	int64_t expiry;
	bool ephemeral;
};

/* Through JSON, as it comes. */
static struct register_answer attempt(const struct request *q)
{
	char body[1500], node[KEY_TEXT_MAX], old[KEY_TEXT_MAX], expiry[TIME_TEXT_MAX];
	struct key machine = key_of(q->machine), k = key_of(q->key);
	struct key old_key = key_of(q->old_key);
	struct register_input in = {0};
	struct register_answer a = {0};
	const char *why;
	int n;

	if (!q->old_key)
		memset(&old_key, 0, sizeof(old_key));
	n = snprintf(body, sizeof(body),
		     "{\"Version\":116,\"NodeKey\":\"%s\",\"OldNodeKey\":\"%s\","
		     "\"NLKey\":\"nlpub:00\",\"Auth\":{\"AuthKey\":\"%s\"},"
		     "\"Expiry\":\"%s\",\"Followup\":\"%s\",\"Hostinfo\":{"
		     "\"OS\":\"linux\",\"Hostname\":\"h%u\",\"RequestTags\":[%s]},"
		     "\"Ephemeral\":%s,\"NodeKeySignature\":null}",
		     key_format(node, KEY_NODE, &k),
		     key_format(old, KEY_NODE, &old_key),
		     q->auth_key ? q->auth_key : "",
		     time_format_rfc3339(q->expiry, expiry),
		     q->followup ? q->followup : "", q->machine,
		     q->tags ? q->tags : "", q->ephemeral ? "true" : "false");
	if (register_input_decode(&in, body, (size_t)n, &why))
		printf("# %s: %s\n", why, body);
	else
		register_decide(model, policy, &config, &in, &machine, NOW, &a);
	register_input_clear(&in);
	return a;
}

static char *make_key(struct coord_user *u, bool reusable, bool ephemeral,
		      int64_t expiry, const char *tag)
{
	static char secret[8][AUTHKEY_SECRET_MAX];
	static unsigned int next;
	char *s = secret[next++ % 8];
	struct authkey *k;

	if (model_authkey_create(model, u, reusable, ephemeral, expiry,
				 tag ? &tag : NULL, tag != NULL, s, &k))
		abort();
	return s;
}

static bool refused(struct register_answer a, const char *with)
{
	bool so = a.kind == REGISTER_ERROR && strstr(a.error, with);

	if (!so)
		printf("# kind %d: %s\n", (int)a.kind, a.error);
	return so;
}

static void test_keys(void)
{
	char *reusable = make_key(alice, true, false, 0, NULL);
	char *once = make_key(alice, false, false, 0, NULL);
	char *old = make_key(alice, true, false, NOW - 5, NULL);
	char *gone = make_key(alice, true, true, 0, NULL);
	struct register_answer a, b;

	a = attempt(&(struct request){.machine = 1, .key = 1, .auth_key = reusable});
	tap_ok(a.kind == REGISTER_DONE && a.node->user == alice && !a.node->expiry,
	       "a reusable key lets in");
	b = attempt(&(struct request){.machine = 2, .key = 2, .auth_key = reusable});
	tap_ok(b.kind == REGISTER_DONE && b.node != a.node, "and another one");
	b = attempt(&(struct request){.machine = 3, .key = 3, .auth_key = once});
	tap_ok(b.kind == REGISTER_DONE, "a key for once lets in");
	tap_ok(refused(attempt(&(struct request){.machine = 4, .key = 4,
						 .auth_key = once}),
		       "already used"),
	       "once");
	b = attempt(&(struct request){.machine = 3, .key = 3, .auth_key = once});
	tap_ok(b.kind == REGISTER_DONE, "but its node comes back with it");
	tap_ok(refused(attempt(&(struct request){.machine = 4, .key = 4,
						 .auth_key = old}),
		       "expired"),
	       "an expired key does not");
	tap_ok(refused(attempt(&(struct request){.machine = 4, .key = 4,
						 .auth_key = "trkey-auth-no"}),
		       "invalid"),
	       "nor one that is none");
	b = attempt(&(struct request){.machine = 5, .key = 5, .auth_key = gone});
	tap_ok(b.kind == REGISTER_DONE && b.node->ephemeral,
	       "an ephemeral key makes an ephemeral node");
	b = attempt(&(struct request){.machine = 5, .key = 5, .expiry = 123});
	tap_ok(b.kind == REGISTER_LOGGED_OUT &&
		       !model_node_by_machine(model, &(struct key){{5, [31] = 1}},
					      alice),
	       "which is gone at its logout");
	b = attempt(&(struct request){.machine = 6, .key = 6, .ephemeral = true,
				      .auth_key = reusable});
	tap_ok(b.kind == REGISTER_DONE && b.node->ephemeral,
	       "a node may ask to be ephemeral");
	tap_ok(refused(attempt(&(struct request){.machine = 9, .key = 1}),
		       "another machine"),
	       "nobody else's node key");
	b = attempt(&(struct request){.machine = 1, .key = 11, .old_key = 1,
				      .auth_key = reusable});
	tap_ok(b.kind == REGISTER_DONE && b.node == a.node,
	       "a new node key is the same node");
}

static void test_expiry(void)
{
	char *k = make_key(alice, true, false, 0, NULL);
	struct register_answer a, b;

	config.key_expiry_s = 1000;
	a = attempt(&(struct request){.machine = 20, .key = 20, .auth_key = k});
	tap_ok(a.kind == REGISTER_DONE && a.node->expiry == NOW + 1000,
	       "node keys expire when the server says so");
	b = attempt(&(struct request){.machine = 20, .key = 20,
				      .expiry = NOW + 500});
	tap_ok(b.kind == REGISTER_DONE && a.node->expiry == NOW + 500,
	       "or earlier, if the node wants");
	tap_ok(refused(attempt(&(struct request){.machine = 20, .key = 20,
						 .expiry = NOW + 900}),
		       "not allowed"),
	       "but not later");
	b = attempt(&(struct request){.machine = 20, .key = 20, .expiry = 123});
	tap_ok(b.kind == REGISTER_LOGGED_OUT && a.node->expired, "logout");
	b = attempt(&(struct request){.machine = 20, .key = 20});
	tap_ok(b.kind == REGISTER_EXPIRED, "then this key is of no use");
	b = attempt(&(struct request){.machine = 20, .key = 20, .auth_key = k});
	tap_ok(b.kind == REGISTER_DONE && b.node == a.node && !a.node->expired,
	       "but with a pre-auth key");
	tap_ok(!register_expiry(&config, 0, true, NOW), "tagged ones never do");
	config.key_expiry_s = 0;
}

static void test_interactive(void)
{
	struct register_answer a, b;
	struct coord_node *n;
	char url[64], foreign[64];

	a = attempt(&(struct request){.machine = 30, .key = 30});
	tap_ok(a.kind == REGISTER_URL, "without a key, a URL");
	snprintf(url, sizeof(url), "https://c/register/%s", a.pending->id);
	b = attempt(&(struct request){.machine = 30, .key = 30, .followup = url});
	tap_ok(b.kind == REGISTER_WAIT && b.pending == a.pending,
	       "which it waits for");
	b = attempt(&(struct request){.machine = 31, .key = 31, .followup = url});
	tap_ok(b.kind == REGISTER_URL && b.pending != a.pending,
	       "nobody waits for another's");
	snprintf(foreign, sizeof(foreign), "https://c/register/%s",
		 "000000000000000000000000");
	b = attempt(&(struct request){.machine = 30, .key = 30,
				      .followup = foreign});
	tap_ok(b.kind == REGISTER_URL, "an unknown one is answered by a new one");
	if (model_pending_approve(model, a.pending, bob, NULL, 0, 0, NOW, &n))
		abort();
	b = attempt(&(struct request){.machine = 30, .key = 30, .followup = url});
	tap_ok(b.kind == REGISTER_DONE && b.node == n && n->user == bob,
	       "approved, it is in");
}

static void test_tags(void)
{
	char *plain = make_key(alice, true, false, 0, NULL);
	char *bobs = make_key(bob, true, false, 0, NULL);
	char *tagged = make_key(bob, true, false, 0, "tag:web");
	struct register_answer a;

	a = attempt(&(struct request){.machine = 40, .key = 40,
				      .auth_key = tagged});
	tap_ok(a.kind == REGISTER_DONE && a.node->n_tags == 1 &&
		       !strcmp(a.node->tags[0], "tag:web"),
	       "a tagged key tags");
	a = attempt(&(struct request){.machine = 41, .key = 41, .auth_key = plain,
				      .tags = "\"tag:web\""});
	tap_ok(a.kind == REGISTER_DONE && a.node->n_tags == 1,
	       "the policy lets alice have the tag");
	tap_ok(refused(attempt(&(struct request){.machine = 42, .key = 42,
						 .auth_key = bobs,
						 .tags = "\"tag:web\""}),
		       "tag:web"),
	       "and not bob");
	tap_ok(refused(attempt(&(struct request){.machine = 42, .key = 42,
						 .auth_key = tagged,
						 .tags = "\"tag:db\""}),
		       "tag:db"),
	       "a tagged key is for its own tags");
	a = attempt(&(struct request){.machine = 40, .key = 40,
				      .tags = "\"tag:web\""});
	tap_ok(a.kind == REGISTER_DONE, "what it has it may ask for again");
}

static void test_malformed(void)
{
	static const char *const bad[] = {
		"", "[]", "{}", "{\"NodeKey\":\"nodekey:00\"}", "{\"NodeKey\":3}",
		"{\"Version\":116,\"Hostinfo\":[]}",
		"{\"Auth\":\"text\"}", "{\"Expiry\":\"yesterday\"}",
	};
	struct register_input in = {0};
	struct map_request m = {0};
	const char *why;
	bool good = true;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (!register_input_decode(&in, bad[i], strlen(bad[i]), &why) ||
		    !why)
			good = false;
		register_input_clear(&in);
		if (!map_request_decode(&m, bad[i], strlen(bad[i]), &why) ||
		    !why)
			good = false;
		map_request_clear(&m);
	}
	tap_ok(good, "malformed requests are errors with a name");
}

static void test_derp_map(void)
{
	static const char file[] = "{\"Regions\":{\"5\":{\"Nodes\":[{"
				   "\"HostName\":\"r\"}]}}}";
	static const char *const bad[] = {
		"{\"Regions\":{\"5\":{\"RegionID\":6,\"Nodes\":[{\"HostName\":"
		"\"r\"}]}}}",
		"{\"Regions\":{\"5\":{\"Nodes\":[]}}}",
		"{\"Regions\":{\"5\":{\"Nodes\":[{\"Name\":\"r\"}]}}}",
		"{\"Regions\":{\"5\":null}}", "{}", "[]",
		"{\"Regions\":{\"5\":{\"Nodes\":[null,{\"HostName\":\"r\"}]}}}",
	};
	char why[WHY_LEN], *out = NULL, *one;
	bool good = true;
	size_t i;

	tap_ok(!derpmap_check(file, strlen(file), &out, why) &&
		       strstr(out, "\"RegionID\":5") &&
		       strstr(out, "\"Name\":\"5-1\""),
	       "what a DERP map leaves out is filled in");
	free(out);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (!derpmap_check(bad[i], strlen(bad[i]), &out, why)) {
			printf("# %s\n", bad[i]);
			good = false;
		}
	}
	tap_ok(good, "bad ones are refused");
	one = derpmap_single("relay.example:8443", "sha256-raw:00");
	tap_ok(one && strstr(one, "\"DERPPort\":8443") &&
		       !derpmap_check(one, strlen(one), &out, why),
	       "one relay makes a map");
	free(out);
	free(one);
	one = derpmap_single("re lay/x", NULL);
	tap_ok(!one, "if it has a name");
	free(one);
}

int main(void)
{
	static const char text[] =
		"{\"tagOwners\": {\"tag:web\": [\"alice@\"], \"tag:db\": []}}";
	struct policy_report report = {0};
	char dir[64], path[96];

	if (sodium_init() < 0)
		return 1;
	log_init("test", false);
	test_directory(dir);
	snprintf(path, sizeof(path), "%s/db", dir);
	model = test_open(path);
	policy = policy_parse(text, strlen(text), &report);
	if (!model || !policy ||
	    model_user_create(model, "alice", NULL, NULL, NULL, &alice) ||
	    model_user_create(model, "bob", NULL, NULL, NULL, &bob)) {
		puts("Bail out! no model");
		return 1;
	}
	test_keys();
	test_expiry();
	test_interactive();
	test_tags();
	test_malformed();
	test_derp_map();
	policy_report_clear(&report);
	policy_free(policy);
	model_close(model);
	test_remove(dir);
	return tap_done();
}
