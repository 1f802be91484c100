// SPDX-License-Identifier: GPL-2.0
/*
 * Map responses that are wrong in one place: every value of real-looking
 * messages is replaced by one of another type, a huge one, nothing, or deep
 * nesting, and every name by another. A message is refused as a whole or
 * accepted; either way the netmap stays sound and the next good one applies.
 */
#include <errno.h>
#include <event2/event.h>
#include <json.h>
#include <sodium.h>
#include <string.h>

#include "control/map.h"
#include "engine/desired.h"
#include "kernel/state.h"
#include "kernel/wire.h"
#include "lib/json.h"
#include "lib/util.h"
#include "tap.h"

#define NOW 1787400000 /* 2026-08-22 */
#define PATH_MAX_TEXT 256
#define LONG 20000

/* Quotes are single ones; $1 is 64 times the digit 1, and so on. */
static const char full[] =
	"{'KeepAlive':false,'ControlTime':'2026-08-22T12:00:00.123456789Z',"
	"'MapSessionHandle':'h','Seq':1,'Domain':'example.com',"
	"'CollectServices':true,'Debug':{'SleepSeconds':0.5},"
	"'PingRequest':{'URL':'http://127.0.0.1:1/p','URLIsNoise':true},"
	"'Node':{'ID':7,'StableID':'n7','Name':'me.t.ts.net.','User':1,"
	"'Key':'nodekey:$1','KeyExpiry':'2027-02-01T00:00:00Z',"
	"'Machine':'mkey:$1','DiscoKey':'discokey:$1',"
	"'Addresses':['100.64.0.7/32','fd7a:115c:a1e0::7/128'],"
	"'AllowedIPs':['100.64.0.7/32','fd7a:115c:a1e0::7/128'],"
	"'HomeDERP':1,'Hostinfo':{'OS':'linux','Hostname':'me'},"
	"'Created':'2025-01-01T00:00:00Z','Cap':120,'Tags':['tag:gateway'],"
	"'MachineAuthorized':true,'Capabilities':['https','ssh'],"
	"'CapMap':{'https':null,'funnel-ports':['80','443']}},"
	"'Peers':[{'ID':9007199254740993,'StableID':'n9','Name':'a.t.ts.net.',"
	"'User':1,'Key':'nodekey:$2','KeyExpiry':'0001-01-01T00:00:00Z',"
	"'DiscoKey':'discokey:$2','Addresses':['100.64.0.9/32'],"
	"'AllowedIPs':['100.64.0.9/32','10.9.0.0/16','0.0.0.0/0','::/0'],"
	"'PrimaryRoutes':['10.9.0.0/16'],'Endpoints':['198.51.100.4:41641',"
	"'[2001:db8::1]:5'],'DERP':'127.3.3.40:2','HomeDERP':2,"
	"'Hostinfo':{'OS':'macOS','Hostname':'a','Services':[{'Proto':"
	"'peerapi4','Port':1}]},'Created':'2025-01-01T00:00:00+02:00',"
	"'Cap':95,'Online':true,'LastSeen':'2026-08-01T00:00:00Z',"
	"'CapMap':{'c':[{'x':[1,2]}]},"
	"'SelfNodeV4MasqAddrForThisPeer':'100.64.1.1',"
	"'SelfNodeV6MasqAddrForThisPeer':'fd7a:115c:a1e0::1'},"
	"{'ID':3,'Key':'nodekey:$3','Addresses':['100.64.0.3/32'],"
	"'UnsignedPeerAPIOnly':true,'Expired':false,'IsWireGuardOnly':false,"
	"'IsJailed':true,'MachineAuthorized':true}],"
	"'DERPMap':{'HomeParams':{'RegionScore':{'1':0.5,'2':2}},'Regions':{"
	"'1':{'RegionID':1,'RegionCode':'fra','RegionName':'F','Avoid':false,"
	"'NoMeasureNoHome':false,'Nodes':[{'Name':'1a','RegionID':1,"
	"'HostName':'d1.example.com','CertName':'sha256-raw:00',"
	"'IPv4':'192.0.2.1','IPv6':'none','STUNPort':3478,'STUNOnly':false,"
	"'DERPPort':443,'InsecureForTests':false,'STUNTestIP':'192.0.2.1',"
	"'CanPort80':true},null]},'2':{'RegionID':2,'Nodes':[]},'3':null}},"
	"'PacketFilter':[{'SrcIPs':['100.64.0.0/10','10.0.0.1-10.0.0.9','*',"
	"'cap:x'],'SrcBits':[],'DstPorts':[{'IP':'100.64.0.7','Bits':null,"
	"'Ports':{'First':22,'Last':23}},{'IP':'*','Ports':{'First':0,"
	"'Last':65535}}],'IPProto':[6,17]},{'SrcIPs':['*'],'CapGrant':"
	"[{'Dsts':['100.64.0.7/32'],'CapMap':{'k':[1]}}]}],"
	"'PacketFilters':{'b':[{'SrcIPs':['100.64.0.3'],'DstPorts':[{'IP':"
	"'10.1.0.0/16','Ports':{'First':80,'Last':80}}]}],'a':[],'c':null},"
	"'DNSConfig':{'Resolvers':[{'Addr':'1.1.1.1'},{'Addr':'https://d/'}],"
	"'Routes':{'corp.':[{'Addr':'10.0.0.53'}]},'Domains':['t.ts.net'],"
	"'Proxied':true,'ExtraRecords':[{'Name':'x','Value':'100.64.0.9'}]},"
	"'UserProfiles':[{'ID':1,'LoginName':'u@example.com',"
	"'DisplayName':'U','ProfilePicURL':''}],"
	"'Health':['not well'],'SSHPolicy':{'rules':[]}}";

static const char delta[] =
	"{'PeersChanged':[{'ID':3,'Key':'nodekey:$3','Addresses':"
	"['100.64.0.33/32'],'AllowedIPs':['100.64.0.33/32']},"
	"{'ID':4,'Key':'nodekey:$4','Addresses':['100.64.0.4/32']}],"
	"'PeersRemoved':[5,6],'PeerSeenChange':{'9007199254740993':true},"
	"'OnlineChange':{'9007199254740993':false,'3':true},"
	"'PeersChangedPatch':[{'NodeID':9007199254740993,'DERPRegion':5,"
	"'Cap':96,'CapMap':{'d':null},'Endpoints':['192.0.2.9:9'],"
	"'Key':'nodekey:$5','DiscoKey':'discokey:$5','Online':true,"
	"'LastSeen':'2026-08-20T00:00:00Z','KeyExpiry':'2027-01-01T00:00:00Z',"
	"'KeySignature':null},{'NodeID':4,'DERPRegion':1}],"
	"'DERPMap':{'HomeParams':{'RegionScore':{'2':0.25}}},"
	"'PacketFilters':{'*':null,'base':[],'b':null},'Health':[],"
	"'DNSConfig':{},'UserProfiles':[{'ID':2,'LoginName':'v@example.com'}]}";

static const char good[] =
	"{'Domain':'after','PeersChanged':[{'ID':99,'Key':'nodekey:$9',"
	"'Addresses':['100.64.0.99/32']}],'PeersChangedPatch':[{'NodeID':99,"
	"'DERPRegion':3}],'OnlineChange':{'99':true}}";
static const char undo[] = "{'Domain':'example.com','PeersRemoved':[99]}";

static struct json_object *parse(const char *text)
{
	_cleanup_free_ char *out = xcalloc(strlen(text) + 64 * 64, 1);
	struct json_object *o;
	char *p = out;

	for (; *text; text++)
		if (*text == '$') {
			memset(p, *++text, 64);
			p += 64;
		} else {
			*p++ = *text == '\'' ? '"' : *text;
		}
	o = json_parse(out, (size_t)(p - out));
	if (!o)
		tap_ok(false, "not JSON: %s", out);
	return o;
}

static struct json_object *nest(struct json_object *inner, bool list, int depth)
{
	while (depth--) {
		struct json_object *o = list ? json_object_new_array() :
					       json_object_new_object();

		if (list)
			json_object_array_add(o, inner);
		else
			json_object_object_add(o, "ID", inner);
		inner = o;
	}
	return inner;
}

static struct json_object *many(const char *text, int n)
{
	struct json_object *o = json_object_new_array();

	while (n--)
		json_object_array_add(o, json_object_new_string(text));
	return o;
}

/* What takes a value's place, itself in it for some. False: no more. */
static bool wrong_value(int kind, struct json_object *old,
			struct json_object **out, const char **name)
{
	static const char *const texts[] = {
		"", "x", "nodekey:", "discokey:0", "/", "-", "cap:",
		"0.0.0.0/0", "127.0.0.1/33", "1.2.3.4:0", "[::1%lo]:1", "*",
		"9999-12-31T23:59:60+23:59", "0000-00-00T00:00:00Z",
		"127.3.3.40:99999999999", "\xff\xfe",
	};
	static const double doubles[] = { 0.5, -1e308, 1e308 };
	static const int64_t ints[] = { 0, -1, 1, 3, 65536, 4294967296ll,
					INT64_MIN, INT64_MAX };
	size_t k = (size_t)kind;
	char *text, member[8];
	int i;

	*name = "";
	if (k < ARRAY_SIZE(texts)) {
		*out = json_object_new_string(texts[k]);
		return true;
	}
	k -= ARRAY_SIZE(texts);
	if (k < ARRAY_SIZE(ints)) {
		*out = json_object_new_int64(ints[k]);
		return true;
	}
	k -= ARRAY_SIZE(ints);
	if (k < ARRAY_SIZE(doubles)) {
		*out = json_object_new_double(doubles[k]);
		return true;
	}
	switch (k - ARRAY_SIZE(doubles)) {
	case 0:
		*out = NULL;
		return true;
	case 1:
		*out = json_object_new_boolean(true);
		return true;
	case 2:
		*out = json_object_new_uint64(UINT64_MAX);
		return true;
	case 3:
		*out = json_object_new_array();
		return true;
	case 4:
		*out = json_object_new_object();
		return true;
	case 5: /* a NUL inside */
		*out = json_object_new_string_len("a\0b", 3);
		return true;
	case 6:
		text = xmalloc(LONG);
		memset(text, 'x', LONG);
		*out = json_object_new_string_len(text, LONG);
		*name = "long text";
		free(text);
		return true;
	case 7:
		*out = many("1.2.3.4/32", 8193);
		*name = "long list";
		return true;
	case 8:
		*out = json_object_new_object();
		for (i = 0; i < 2048; i++) {
			snprintf(member, sizeof(member), "%d", i);
			json_object_object_add(*out, member, NULL);
		}
		*name = "many names";
		return true;
	case 9: /* twice itself */
		*out = nest(json_object_get(old), true, 1);
		json_object_array_add(*out, json_object_get(old));
		return true;
	case 10:
		*out = nest(json_object_get(old), false, 1);
		return true;
	case 11:
		*out = nest(NULL, true, 1);
		return true;
	case 12: /* still within what is parsed */
		*out = nest(json_object_get(old), true, 100);
		return true;
	case 13:
		*out = nest(json_object_get(old), false, 100);
		return true;
	case 14: /* beyond it */
		*out = nest(NULL, true, JSON_DEPTH);
		*name = "too deep";
		return true;
	}
	return false;
}

static const char *const wrong_names[] = { "", "0", "-1", "01", "3", "x", "*",
					   "base", "99999999999999999999" };

/*
 * Counts down *@at over the values below @o. At zero puts what is wrong in
 * the value's place (@names: in its name's), appends where to @path, and
 * returns 1; 0 without a place; -1 for no more @kind at this place.
 */
static int spoil(struct json_object *o, int *at, bool names, int kind,
		 char *path)
{
	bool list = json_object_is_type(o, json_type_array);
	size_t len = strlen(path), i, n;
	struct json_object *wrong;
	const char *what;
	int r;

	if (list) {
		n = json_object_array_length(o);
		for (i = 0; i < n; i++) {
			struct json_object *v =
				json_object_array_get_idx(o, i);

			snprintf(path + len, PATH_MAX_TEXT - len, "[%zu]", i);
			if (!(*at)--) {
				if (names ||
				    !wrong_value(kind, v, &wrong, &what))
					return -1;
				json_object_array_put_idx(o, i, wrong);
				goto done;
			}
			r = spoil(v, at, names, kind, path);
			if (r)
				return r;
		}
	} else if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, v) {
			snprintf(path + len, PATH_MAX_TEXT - len, ".%s", key);
			if (!(*at)--) {
				if (names) {
					if (kind >= (int)ARRAY_SIZE(wrong_names))
						return -1;
					what = wrong_names[kind];
					wrong = json_object_get(v);
					json_object_object_del(o, key);
					json_object_object_add(o, what, wrong);
				} else if (wrong_value(kind, v, &wrong, &what)) {
					json_object_object_add(o, key, wrong);
				} else {
					return -1;
				}
				goto done;
			}
			r = spoil(v, at, names, kind, path);
			if (r)
				return r;
		}
	}
	path[len] = '\0';
	return 0;
done:
	len = strlen(path);
	snprintf(path + len, PATH_MAX_TEXT - len, " %s %.60s",
		 names ? "named" : "=",
		 *what ? what : json_object_to_json_string(wrong));
	return 1;
}

static char *text_of(const struct netmap *nm)
{
	struct json_object *o = netmap_to_json(nm);
	char *text = xstrdup(json_object_to_json_string(o));

	json_object_put(o);
	return text;
}

/* The literal @message is parsed once. */
static int apply(struct netmap *nm, const char *message, bool first)
{
	static struct {
		const char *text;
		struct json_object *o;
	} known[4];
	const char *why;
	size_t i = 0;

	while (known[i].text && known[i].text != message)
		i++;
	if (!known[i].text) {
		known[i].text = message;
		known[i].o = parse(message);
	}
	return netmap_apply(nm, known[i].o, first, NOW, &why);
}

static struct netmap *start(void)
{
	struct netmap *nm = netmap_new();

	if (apply(nm, full, true) != NETMAP_ALL)
		tap_ok(false, "the message as it is");
	return nm;
}

/* The indices agree with each other. */
static bool sound(const struct netmap *nm)
{
	struct node *n, *tmp;
	size_t i;

	if (!nm->self || key_is_zero(&nm->self->key))
		return false;
	HASH_ITER(hh, nm->peers, n, tmp) {
		if (n->id == nm->self->id || key_is_zero(&n->key) ||
		    netmap_peer_by_key(nm, &n->key) != n)
			return false;
		for (i = 0; i < n->n_addresses; i++)
			if (!netmap_peer_by_addr(nm, &n->addresses[i].ip))
				return false;
	}
	return HASH_CNT(hh_key, nm->by_key) == HASH_COUNT(nm->peers);
}

/* What was accepted is accepted from the disk, too, and means the same. */
static bool survives(const struct netmap *nm)
{
	_cleanup_free_ char *text = text_of(nm), *again = NULL;
	struct json_object *o = json_parse(text, strlen(text));
	struct netmap *copy = netmap_new();
	const char *why;
	bool same = netmap_apply(copy, o, true, NOW, &why) >= 0;

	json_object_put(o);
	if (same) {
		again = text_of(copy);
		same = !strcmp(text, again) &&
		       copy->filter_invalid == nm->filter_invalid;
	}
	netmap_free(copy);
	return same;
}

static void on_publish(void *ctx, const struct kernel_path *path)
{
}

/* What the kernel process is told of it has nothing that it would refuse. */
static bool publishable(const struct netmap *nm, struct paths *paths)
{
	static const struct key node_private = { { 1 } };
	struct wire_message m;
	struct prefs prefs;
	struct desired d;
	uint8_t *frame;
	size_t n;
	bool ok;

	prefs_init(&prefs);
	prefs.accept_routes = true;
	paths_set_netmap(paths, nm, NOW);
	desired_build(&d, &(struct desired_input){
				  .netmap = nm,
				  .prefs = &prefs,
				  .defaults = &prefs.settings,
				  .paths = paths,
				  .ifname = "tailrace0",
				  .node_private = &node_private,
				  .port = 41641,
				  .unix_now = NOW,
			  });
	frame = wire_encode(WIRE_STATE, &d.state, &n);
	ok = !wire_decode(frame, n, &m);
	if (ok) {
		state_normalize(&m.u.state);
		ok = m.u.state.n_peers == d.state.n_peers;
		wire_free(&m);
	}
	free(frame);
	desired_uninit(&d);
	prefs_uninit(&prefs);
	return ok;
}

struct feed {
	struct map_reader *reader;
	struct paths *paths;
	struct netmap *nm;
	bool first;
	int result;
	const char *why;
	unsigned int messages;
	bool changed; /* the netmap, as the cache has it */
};

static bool on_message(void *ctx, struct json_object *msg)
{
	struct feed *f = ctx;

	f->messages++;
	f->result = netmap_apply(f->nm, msg, f->first, NOW, &f->why);
	return true;
}

/* As it comes from control: framed, in pieces. */
static int feed(struct feed *f, const char *text)
{
	size_t n = strlen(text), i, step = 1 + n / 3;
	uint8_t size[4] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16) };
	ssize_t got;

	if (!f->reader)
		f->reader = map_reader_new(on_message, f);
	got = map_reader_feed(f->reader, size, sizeof(size), &f->why);

	for (i = 0; i < n && got >= 0; i += step)
		got = map_reader_feed(f->reader, (const uint8_t *)text + i,
				      n - i < step ? n - i : step, &f->why);
	if (got >= 0)
		return 0;
	map_reader_free(f->reader);
	f->reader = NULL;
	return (int)got;
}

static bool good_applies(struct netmap *nm)
{
	struct node *n;
	int64_t id = 99;
	int r = apply(nm, good, false);

	HASH_FIND(hh, nm->peers, &id, sizeof(id), n);
	return r > 0 && n && n->online == 1 && n->home_derp == 3 &&
	       !strcmp(nm->domain, "after") && sound(nm) &&
	       apply(nm, undo, false) > 0;
}

static bool check(struct feed *f, const char *before, const char *text)
{
	_cleanup_free_ char *after = NULL;
	int r;

	f->messages = 0;
	f->why = NULL;
	f->changed = false;
	r = feed(f, text);
	if (r < 0)
		return f->why && !f->messages;
	if (f->messages != 1)
		return false;
	after = text_of(f->nm);
	f->changed = strcmp(before, after);
	if (f->result < 0)
		return f->result == -EPROTO && f->why && *f->why && !f->changed;
	if (!f->changed)
		return true;
	return sound(f->nm) && survives(f->nm) && publishable(f->nm, f->paths);
}

static void each(struct paths *paths, const char *title, const char *message,
		 bool names, bool first)
{
	unsigned int places = 0, variants = 0, refused = 0, failed = 0;
	_cleanup_free_ char *before = NULL, *text = NULL;
	struct json_object *whole = parse(message), *o;
	struct feed f = { .paths = paths, .nm = start(), .first = first };
	int at = 0, kind = 0, left, r;

	before = text_of(f.nm);
	for (;;) {
		char path[PATH_MAX_TEXT] = "";

		o = NULL;
		json_object_deep_copy(whole, &o, NULL);
		left = at;
		r = spoil(o, &left, names, kind, path);
		if (r <= 0) {
			json_object_put(o);
			if (!r)
				break;
			places += kind > 0;
			at++;
			kind = 0;
			continue;
		}
		kind++;
		variants++;
		free(text);
		text = xstrdup(json_object_to_json_string_ext(
			o, JSON_C_TO_STRING_PLAIN));
		json_object_put(o);
		if (!check(&f, before, text) || !good_applies(f.nm)) {
			printf("# %s\n", path);
			failed++;
		}
		refused += f.result < 0 || !f.messages;
		if (f.changed) {
			netmap_free(f.nm);
			f.nm = start();
		}
	}
	tap_ok(!failed && variants && refused && refused < variants,
	       "%s: %u places, %u variants, %u refused, %u went wrong", title,
	       places, variants, refused, failed);
	json_object_put(whole);
	netmap_free(f.nm);
	map_reader_free(f.reader);
}

int main(void)
{
	static const struct paths_ops ops = { .publish = on_publish };
	struct event_base *base = event_base_new();
	struct paths *paths;

	if (sodium_init() < 0)
		return 2;
	paths = paths_new(base, &ops, NULL);
	each(paths, "values of a full message", full, false, true);
	each(paths, "values of a delta", delta, false, false);
	each(paths, "names in a full message, as a later one", full, true,
	     false);
	each(paths, "names in a delta", delta, true, false);
	paths_free(paths);
	event_base_free(base);
	return tap_done();
}
