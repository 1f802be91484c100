// SPDX-License-Identifier: GPL-2.0
#include "coord/serve.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "control/url.h"
#include "coord/admin.h"
#include "coord/coord.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/util.h"

#define LIMITS_MAX 32
#define OIDC_SECRET_MAX 1024

struct options {
	const char *listen, *metrics_listen, *server_url, *state_dir, *user;
	const char *admin_socket, *oidc_secret_path;
	const char *v4, *v6;
	unsigned long key_expiry_s, ephemeral_s;
	bool verbose;
	struct coord_config config;
};

struct limit_flags {
	struct flag *flags;
	size_t n;
	unsigned long value[LIMITS_MAX];
	char name[LIMITS_MAX][48];
};

static void add_limit(void *ctx, const char *name, size_t value,
		      const char *what)
{
	struct limit_flags *l = ctx;

	if (l->n == LIMITS_MAX)
		return;
	snprintf(l->name[l->n], sizeof(l->name[0]), "limit-%s", name);
	l->value[l->n] = value;
	l->flags[l->n] = (struct flag){l->name[l->n], FLAG_NUMBER,
				       &l->value[l->n], what, false};
	l->n++;
}

/* 0: go on; 1: help was wanted; -1: an error, said. */
static int parse(struct options *o, int argc, char **argv)
{
	struct coord_config *c = &o->config;
	struct flag own[] = {
		{"listen", FLAG_TEXT, &o->listen,
		 "addresses, comma-separated (:8080; :443 with a certificate)",
		 false},
		{"server-url", FLAG_TEXT, &o->server_url,
		 "as clients know us (http[s]://<host name>[:port])", false},
		{"state-dir", FLAG_TEXT, &o->state_dir,
		 "database and server key (" COORD_STATE_DIR ")", false},
		{"tls-cert", FLAG_TEXT, &c->tls_cert,
		 "certificate chain, PEM; read again on SIGHUP", false},
		{"tls-key", FLAG_TEXT, &c->tls_key, "its key, PEM", false},
		{"policy", FLAG_TEXT, &c->policy_path,
		 "policy file, HuJSON; read again on SIGHUP", false},
		{"derp-map", FLAG_TEXT, &c->derp_map_path,
		 "DERP map file, JSON; read again on SIGHUP", false},
		{"relay", FLAG_TEXT, &c->relay,
		 "HOST[:PORT] of the only relay, instead of a map", false},
		{"relay-cert", FLAG_TEXT, &c->relay_cert,
		 "its certificate's name, or sha256-raw:<hex>", false},
		{"prefix-v4", FLAG_TEXT, &o->v4,
		 "addresses of nodes (100.64.0.0/10); none", false},
		{"prefix-v6", FLAG_TEXT, &o->v6,
		 "addresses of nodes (fd7a:115c:a1e0::/48); none", false},
		{"base-domain", FLAG_TEXT, &c->base_domain,
		 "nodes are <name>.<base domain> (tailrace.internal)", false},
		{"magic-dns", FLAG_BOOL, &c->magic_dns,
		 "clients answer for these names (true)", false},
		{"nameservers", FLAG_TEXT, &c->nameservers,
		 "for everything else, comma-separated", false},
		{"key-expiry", FLAG_LIFETIME, &o->key_expiry_s,
		 "lifetime of node keys without tags, 0: for ever (0)", false},
		{"ephemeral-timeout", FLAG_LIFETIME, &o->ephemeral_s,
		 "ephemeral nodes are removed after it (2m)", false},
		{"oidc-issuer", FLAG_TEXT, &c->oidc.issuer,
		 "people log in at this OpenID provider (https://...)", false},
		{"oidc-client-id", FLAG_TEXT, &c->oidc.client_id,
		 "as which it knows this server", false},
		{"oidc-client-secret-path", FLAG_TEXT, &o->oidc_secret_path,
		 "file with the secret it has given us", false},
		{"oidc-scope", FLAG_TEXT, &c->oidc.scope,
		 "what to ask for (openid profile email)", false},
		{"oidc-allowed-domains", FLAG_TEXT, &c->oidc.allowed_domains,
		 "of verified email addresses, comma-separated", false},
		{"oidc-allowed-users", FLAG_TEXT, &c->oidc.allowed_users,
		 "verified email addresses, comma-separated", false},
		{"oidc-allowed-groups", FLAG_TEXT, &c->oidc.allowed_groups,
		 "one of these, comma-separated", false},
		{"oidc-ca", FLAG_TEXT, &c->oidc.ca_file,
		 "roots for the provider's certificate, PEM", false},
		{"admin-socket", FLAG_TEXT, &o->admin_socket,
		 "for the other commands of 'tailrace coord' "
		 "(<state-dir>/" ADMIN_SOCKET ")",
		 false},
		{"metrics-listen", FLAG_TEXT, &o->metrics_listen,
		 "address of /metrics and /health (none)", false},
		{"user", FLAG_TEXT, &o->user,
		 "to become after start, if it is root's", false},
		{"verbose", FLAG_BOOL, &o->verbose, "log more", false},
	};
	struct flag flags[ARRAY_SIZE(own) + LIMITS_MAX + 1] = {0};
	struct limit_flags limits = {.flags = flags + ARRAY_SIZE(own)};
	int i;
	size_t j;

	memcpy(flags, own, sizeof(own));
	http_limits_each(&http_limits_default, add_limit, &limits);
	i = flags_parse(flags, "", argc, argv);
	if (i < 0)
		return i == -2 ? 1 : -1;
	if (i < argc) {
		cli_error("unexpected argument '%s'", argv[i]);
		return -1;
	}
	for (j = 0; j < limits.n; j++) {
		if (!limits.flags[j].set ||
		    !http_limits_set(&c->limits, limits.name[j] + 6,
				     limits.value[j]))
			continue;
		cli_error("--%s: %lu is out of range", limits.name[j],
			  limits.value[j]);
		return -1;
	}
	return 0;
}

static int parse_prefix(struct prefix *out, const char *text, int family,
			const char *flag)
{
	if (!strcmp(text, "none")) {
		*out = (struct prefix){0};
		return 0;
	}
	if (!prefix_parse(out, text) && out->ip.family == family)
		return 0;
	cli_error("--%s takes an IPv%d prefix or 'none', not '%s'", flag,
		  family, text);
	return -1;
}

/* ":8080" is [::]:8080, which takes IPv4 too. */
static int parse_listen(struct endpoint *out, const char *text)
{
	char any[ENDPOINT_TEXT_MAX];

	if (*text != ':')
		return endpoint_parse(out, text);
	snprintf(any, sizeof(any), "[::]%s", text);
	return endpoint_parse(out, any);
}

static int check(struct options *o)
{
	struct coord_config *c = &o->config;
	struct url url;

	if (!c->tls_cert != !c->tls_key) {
		cli_error("--tls-cert and --tls-key go together");
		return -1;
	}
	if (c->derp_map_path && c->relay) {
		cli_error("--derp-map or --relay, not both");
		return -1;
	}
	if (o->server_url &&
	    (url_parse(&url, o->server_url) || strlen(url.path) > 1)) {
		cli_error("--server-url takes http[s]://host[:port], not '%s'",
			  o->server_url);
		return -1;
	}
	if (strspn(c->base_domain, "abcdefghijklmnopqrstuvwxyz0123456789-.") !=
		    strlen(c->base_domain) ||
	    strlen(c->base_domain) > 180 || *c->base_domain == '.') {
		cli_error("--base-domain takes a lower-case domain name, not "
			  "'%s'",
			  c->base_domain);
		return -1;
	}
	c->key_expiry_s = (int64_t)o->key_expiry_s;
	c->ephemeral_s = (unsigned int)o->ephemeral_s;
	return parse_prefix(&c->prefix_v4, o->v4, 4, "prefix-v4") ||
			       parse_prefix(&c->prefix_v6, o->v6, 6,
					    "prefix-v6")
		       ? -1
		       : 0;
}

/* ── Privileges ── */

static int set_caps(const cap_value_t *list, int n)
{
	cap_t caps = cap_init();
	int err = -1;

	if (caps && (!n || (!cap_set_flag(caps, CAP_PERMITTED, n, list,
					  CAP_SET) &&
			    !cap_set_flag(caps, CAP_EFFECTIVE, n, list,
					  CAP_SET))))
		err = cap_set_proc(caps);
	cap_free(caps);
	return err;
}

/*
 * Becomes @pw but for what start needs: low ports, and a certificate's key that
 * only root may read. A reload has to do without.
 */
static int become(const struct passwd *pw)
{
	static const cap_value_t start[] = {CAP_NET_BIND_SERVICE,
					    CAP_DAC_READ_SEARCH};

	if (prctl(PR_SET_KEEPCAPS, 1) || initgroups(pw->pw_name, pw->pw_gid) ||
	    setgid(pw->pw_gid) || setuid(pw->pw_uid) ||
	    set_caps(start, ARRAY_SIZE(start))) {
		log_error("coord: cannot become %s: %s", pw->pw_name,
			  strerror(errno));
		return -1;
	}
	return 0;
}

static int prepare_state_dir(const char *dir, const struct passwd *pw)
{
	if (mkdir(dir, 0700) && errno != EEXIST) {
		log_error("coord: cannot make %s: %s", dir, strerror(errno));
		return -1;
	}
	if (pw && chown(dir, pw->pw_uid, pw->pw_gid)) {
		log_error("coord: cannot give %s to %s: %s", dir, pw->pw_name,
			  strerror(errno));
		return -1;
	}
	return 0;
}

/* ── Running ── */

static void on_end(evutil_socket_t sig, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
	coord_reload(arg);
}

static int listen_all(struct coord *c, const char *list, bool tls, bool local)
{
	_cleanup_free_ char *copy = xstrdup(list);
	char *save, *text;
	struct endpoint at;
	int port;

	for (text = strtok_r(copy, ", ", &save); text;
	     text = strtok_r(NULL, ", ", &save)) {
		if (parse_listen(&at, text)) {
			log_error("coord: '%s' is no address:port", text);
			return -1;
		}
		port = local ? coord_listen_local(c, &at)
			     : coord_listen(c, &at, tls);
		if (port < 0) {
			log_error("coord: cannot listen on %s: %s", text,
				  strerror(-port));
			return -1;
		}
	}
	return 0;
}

static char *default_url(const struct options *o, bool tls)
{
	char host[256] = "localhost";
	const char *port = strrchr(o->listen, ':');
	char *url;

	gethostname(host, sizeof(host) - 1);
	if (!port || !strcmp(port, tls ? ":443" : ":80"))
		port = "";
	if (asprintf(&url, "%s://%s%s", tls ? "https" : "http", host, port) < 0)
		abort();
	return url;
}

static int run(struct event_base *base, struct coord *c,
	       const struct options *o, bool tls)
{
	struct event *events[] = {
		evsignal_new(base, SIGTERM, on_end, base),
		evsignal_new(base, SIGINT, on_end, base),
		evsignal_new(base, SIGHUP, on_hangup, c),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(events); i++)
		evsignal_add(events[i], NULL);
	log_info("coord: serving %s on %s", coord_server_url(c), o->listen);
	if (!tls && !strncmp(coord_server_url(c), "http:", 5))
		log_warn("coord: without TLS, clients cannot tell this server "
			 "from another when they first join");
	event_base_dispatch(base);
	for (i = 0; i < ARRAY_SIZE(events); i++)
		event_free(events[i]);
	return 0;
}

/* Read while we may still read what is only root's. */
static int read_oidc_secret(const char *path, char **out)
{
	size_t len;
	int err;

	if (!path)
		return 0;
	err = file_read(path, OIDC_SECRET_MAX, 1, out, &len);
	if (err) {
		log_error("coord: %s: %s", path,
			  err == -EPERM ? "others may read it"
					: strerror(-err));
		return -1;
	}
	(*out)[strcspn(*out, "\r\n")] = '\0';
	return 0;
}

static int serve(struct options *o)
{
	_cleanup_free_ char *secret = NULL;
	_cleanup_free_ char *url = NULL, *socket = NULL;
	const struct passwd *pw = NULL;
	struct admin *admin = NULL;
	bool tls = o->config.tls_cert;
	struct event_base *base;
	struct coord *c;
	int status = 1;

	if (o->user && !(pw = getpwnam(o->user))) {
		log_error("coord: there is no user '%s'", o->user);
		return 1;
	}
	if (!o->listen)
		o->listen = tls ? ":443" : ":8080";
	url = o->server_url ? xstrdup(o->server_url) : default_url(o, tls);
	if (url[strlen(url) - 1] == '/')
		url[strlen(url) - 1] = '\0';
	o->config.server_url = url;
	if (read_oidc_secret(o->oidc_secret_path, &secret) ||
	    prepare_state_dir(o->state_dir, pw) || (pw && become(pw)))
		return 1;
	o->config.oidc.client_secret = secret;
	o->config.state_dir = o->state_dir;
	if (o->admin_socket)
		socket = xstrdup(o->admin_socket);
	else if (asprintf(&socket, "%s/" ADMIN_SOCKET, o->state_dir) < 0)
		abort();
	base = event_base_new();
	c = coord_new(base, &o->config);
	if (secret)
		sodium_memzero(secret, strlen(secret));
	if (c && !listen_all(c, o->listen, tls, false) &&
	    (!o->metrics_listen ||
	     !listen_all(c, o->metrics_listen, false, true)) &&
	    (!pw || !set_caps(NULL, 0)) &&
	    (admin = admin_new(base, c, socket)))
		status = run(base, c, o, tls);
	admin_free(admin);
	coord_free(c);
	event_base_free(base);
	return status;
}

int cmd_coord_serve(struct cli *cli, int argc, char **argv)
{
	struct options o = {
		.state_dir = COORD_STATE_DIR,
		.v4 = "100.64.0.0/10",
		.v6 = "fd7a:115c:a1e0::/48",
		.ephemeral_s = 120,
		.config = {
			.base_domain = "tailrace.internal",
			.nameservers = "",
			.magic_dns = true,
			.limits = http_limits_default,
		},
	};
	struct rlimit files;
	int err;

	err = parse(&o, argc, argv);
	if (err)
		return err < 0 ? 2 : 0;
	if (check(&o))
		return 2;
	log_init("tailrace-coord", o.verbose);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	if (sodium_init() < 0)
		return 1;
	/* A stream is a descriptor. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return serve(&o);
}
