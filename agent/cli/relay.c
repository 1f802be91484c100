// SPDX-License-Identifier: GPL-2.0
/* `tailrace relay`: a DERP and STUN server in the foreground. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "lib/log.h"
#include "lib/util.h"
#include "relay/server.h"
#include "relay/tls.h"

#define DEFAULT_DIR "/var/lib/tailrace-relay"
#define DEFAULT_HALF_OPEN 4096

struct options {
	const char *listen, *http_port, *certmode, *socket;
	unsigned long stun_port, workers, accept_limit, accept_burst;
	unsigned long half_open, write_ms, keepalive_ms, user_ms;
	bool stun, dev, verify, verbose;
};

static bool has_ipv6(void)
{
	_cleanup_fd_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0;
}

/* ":443", "1.2.3.4:443", "[::1]:443". */
static bool parse_listen(struct endpoint *ep, const char *text)
{
	char any[ENDPOINT_TEXT_MAX];

	if (*text == ':') {
		snprintf(any, sizeof(any), "%s%s",
			 has_ipv6() ? "[::]" : "0.0.0.0", text);
		text = any;
	}
	return !endpoint_parse(ep, text);
}

static bool parse_port(int *port, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	*port = (int)n;
	return *text && !*end && n >= -1 && n <= 65535;
}

/* The exit status, 0: all is well. */
static int apply(struct relayd_config *c, const struct options *o)
{
	const char *listen = o->listen;

	if (!listen)
		listen = o->dev ? ":3340" : ":443";
	if (!parse_listen(&c->listen, listen))
		return cli_error("--a takes [ADDRESS]:PORT, not '%s'", listen);
	if (!parse_port(&c->http_port, o->http_port))
		return cli_error("--http-port takes a port, or -1 for none, not '%s'",
				 o->http_port);
	if (strcmp(o->certmode, "manual") != 0)
		return cli_error("--certmode knows 'manual' only: have an ACME client (certbot, lego) write HOST.crt and HOST.key to --certdir and send SIGHUP");
	if (o->stun_port > 65535)
		return cli_error("--stun-port takes a port, not %lu",
				 o->stun_port);
	if (!o->workers || o->workers > RELAYD_WORKERS_MAX)
		return cli_error("--workers takes 1 to %u", RELAYD_WORKERS_MAX);
	if (o->half_open < o->workers)
		return cli_error("--half-open-limit must be at least 1 for each worker");
	if (o->accept_limit > 1000000 || o->accept_burst > 1000000)
		return cli_error("--accept-connection-limit and -burst take at most 1000000");
	c->tls = !o->dev;
	if (c->tls && !*c->hostname)
		return cli_error("--hostname must say under which name or address clients reach this relay (or use --dev)");
	if (o->dev)
		c->key_file = NULL;
	if (c->mesh_with && !c->mesh_key_file)
		return cli_error("--mesh-with needs --mesh-psk-file");
	if (c->mesh_only && !c->mesh_key_file)
		return cli_error("--mesh-only needs --mesh-psk-file: nobody could log in");
	c->verify_socket = o->verify ? o->socket : NULL;
	c->stun_port = o->stun ? (int)o->stun_port : -1;
	c->workers = (unsigned int)o->workers;
	c->half_open_max = (unsigned int)o->half_open;
	c->accept_limit = (unsigned int)o->accept_limit;
	c->accept_burst = (unsigned int)o->accept_burst;
	c->write_timeout_ms = (unsigned int)o->write_ms;
	c->tcp_keepalive_ms = (unsigned int)o->keepalive_ms;
	c->tcp_user_timeout_ms = (unsigned int)o->user_ms;
	return 0;
}

/*
 * Buffers come and go with every read: giving their pages back to the kernel
 * each time would cost more than reading.
 */
#define HEAP_SLACK (16 << 20)

/* What an operator copies into the DERP map. */
static void announce(const struct relayd *s)
{
	const struct relayd_config *c = s->config;
	char ep[ENDPOINT_TEXT_MAX], key[KEY_TEXT_MAX], pin[RELAYD_PIN_LEN + 1];

	endpoint_format(&c->listen, ep);
	key_format(key, KEY_NODE, &s->public_key);
	if (!c->tls) {
		log_warn("DERP over plain HTTP on %s, for development only; %s",
			 ep, key);
		return;
	}
	relayd_tls_pin(s->tls, pin);
	log_info("DERP on %s, %u workers; %s", ep, s->n_workers, key);
	log_info("in a DERP map, unless an authority has signed the certificate: {\"HostName\":\"%s\",\"DERPPort\":%u,\"CertName\":\"%s\"}",
		 c->hostname, c->listen.port, pin);
}

/* What goes wrong here shows when a file is to be written there. */
static void make_default_dir(void)
{
	mkdir("/var/lib/tailrace", 0700);
	mkdir(DEFAULT_DIR, 0700);
}

static int serve(const struct relayd_config *config)
{
	const struct rlimit no_core = { 0, 0 };
	struct relayd *s;
	int status;

	if (sodium_init() < 0)
		return cli_error("libsodium does not start");
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_TRIM_THRESHOLD, HEAP_SLACK);
	setrlimit(RLIMIT_CORE, &no_core); /* keys are in memory */
	if (!strcmp(config->cert_dir, DEFAULT_DIR))
		make_default_dir();
	s = relayd_new(config);
	if (!s)
		return 1;
	announce(s);
	status = relayd_run(s);
	relayd_free(s);
	return status;
}

int cmd_relay(struct cli *cli, int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct options o = { .http_port = "80",
			     .certmode = "manual",
			     .stun_port = 3478,
			     .workers = cpus > 0 ? (unsigned long)cpus : 1,
			     .half_open = DEFAULT_HALF_OPEN,
			     .write_ms = 2000,
			     .keepalive_ms = 600000,
			     .user_ms = 15000,
			     .socket = cli->socket,
			     .stun = true };
	struct relayd_config c = { .hostname = "",
				   .cert_dir = DEFAULT_DIR,
				   .key_file = DEFAULT_DIR "/relay.key",
				   .verify_fail_open = true,
				   .derp = true };
	struct flag flags[] = {
		{ "a", FLAG_TEXT, &o.listen, "listen on [ADDRESS]:PORT (:443)", false },
		{ "http-port", FLAG_TEXT, &o.http_port, "plain HTTP for /generate_204 and redirects, -1: none (80)", false },
		{ "stun", FLAG_BOOL, &o.stun, "serve STUN (true)", false },
		{ "stun-port", FLAG_NUMBER, &o.stun_port, "UDP port of STUN (3478)", false },
		{ "c", FLAG_TEXT, &c.key_file, "the relay's key, made if missing (" DEFAULT_DIR "/relay.key)", false },
		{ "hostname", FLAG_TEXT, &c.hostname, "name or address of this relay in the DERP map", false },
		{ "certdir", FLAG_TEXT, &c.cert_dir, "HOST.crt and HOST.key, made if missing (" DEFAULT_DIR ")", false },
		{ "certmode", FLAG_TEXT, &o.certmode, "manual", false },
		{ "derp", FLAG_BOOL, &c.derp, "false: STUN and HTTP only (true)", false },
		{ "dev", FLAG_BOOL, &o.dev, "plain HTTP on :3340, a new key at every start", false },
		{ "home", FLAG_TEXT, &c.home, "what / shows: a URL to go to, or 'blank'", false },
		{ "bootstrap-dns-names", FLAG_TEXT, &c.bootstrap_names, "names that /bootstrap-dns tells to everybody, by comma", false },
		{ "unpublished-bootstrap-dns-names", FLAG_TEXT, &c.unpublished_names, "names it tells to who asks for them", false },
		{ "mesh-psk-file", FLAG_TEXT, &c.mesh_key_file, "64 hex digits shared by the relays of a region", false },
		{ "mesh-with", FLAG_TEXT, &c.mesh_with, "the other relays of the region, HOST[:PORT][/DIALHOST],...", false },
		{ "mesh-only", FLAG_BOOL, &c.mesh_only, "let no client in that has not the mesh key", false },
		{ "verify-clients", FLAG_BOOL, &o.verify, "let in whom the tailnet node here knows", false },
		{ "socket", FLAG_TEXT, &o.socket, "of that node, tailraced or tailscaled", false },
		{ "verify-client-url", FLAG_TEXT, &c.verify_url, "let in whom this admission controller allows", false },
		{ "verify-client-url-fail-open", FLAG_BOOL, &c.verify_fail_open, "and everybody if it does not answer (true)", false },
		{ "rate-config", FLAG_TEXT, &c.rate_file, "JSON with limits for each client, read again on SIGHUP", false },
		{ "accept-connection-limit", FLAG_NUMBER, &o.accept_limit, "new TLS connections a second, 0: any (0)", false },
		{ "accept-connection-burst", FLAG_NUMBER, &o.accept_burst, "how many of them at once (the limit)", false },
		{ "half-open-limit", FLAG_NUMBER, &o.half_open, "connections that have not logged in; the oldest goes (4096)", false },
		{ "tcp-write-timeout", FLAG_DURATION, &o.write_ms, "for a client that does not read, 0: none (2s)", false },
		{ "tcp-keepalive-time", FLAG_DURATION, &o.keepalive_ms, "TCP keepalive after so much silence (10m)", false },
		{ "tcp-user-timeout", FLAG_DURATION, &o.user_ms, "for data nobody acknowledges (15s)", false },
		{ "workers", FLAG_NUMBER, &o.workers, "threads (one a processor)", false },
		{ "user", FLAG_TEXT, &c.user, "become this user after opening ports and keys; SIGHUP then reads --certdir as that user", false },
		{ "ktls", FLAG_BOOL, &c.ktls, "let the kernel encrypt where it can: less memory, more CPU time (off)", false },
		{ "verbose", FLAG_BOOL, &o.verbose, "log why each connection ends", false },
		{ 0 }
	};
	int n = flags_parse(flags, "", argc, argv);

	if (n < 0)
		return n == -2 ? 0 : 2;
	if (n < argc)
		return cli_error("relay takes no argument '%s'", argv[n]);
	if (apply(&c, &o))
		return 2;
	log_init("tailrace relay", o.verbose);
	return serve(&c);
}
