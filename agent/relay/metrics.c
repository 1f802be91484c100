// SPDX-License-Identifier: GPL-2.0
#include "relay/metrics.h"

#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "relay/server.h"
#include "version.h"

#define LABELS 2

/*
 * One figure by derper's name for it in /debug/vars: a group, and there a
 * variable whose prefix says what it is, a counter if there is none. Prometheus'
 * name is made of both, without the prefix.
 */
struct figure {
	const char *group, *var; /* group "": none */
	const char *label[LABELS], *value[LABELS]; /* NULL: no more */
	double n;
};

typedef void (*put_fn)(void *ctx, const struct figure *f);

/* Those of a family stay together. */
static const struct {
	enum relayd_stat stat;
	const char *group, *var, *label, *value;
} counted[] = {
	{ RELAYD_CONNECTIONS, "derp", "gauge_current_connections", NULL, NULL },
	{ RELAYD_HOME_CONNECTIONS, "derp", "gauge_current_home_connections",
	  NULL, NULL },
	{ RELAYD_NOT_IDEAL_CONNECTIONS, "derp",
	  "gauge_current_notideal_connections",
	  NULL, NULL },
	{ RELAYD_CLIENTS_TOTAL, "derp", "gauge_clients_total", NULL, NULL },
	{ RELAYD_CLIENTS_LOCAL, "derp", "gauge_clients_local", NULL, NULL },
	{ RELAYD_WATCHERS, "derp", "gauge_watchers", NULL, NULL },
	{ RELAYD_DUP_KEYS, "derp", "gauge_current_dup_client_keys",
	  NULL, NULL },
	{ RELAYD_DUP_CONNS, "derp", "gauge_current_dup_client_conns",
	  NULL, NULL },
	{ RELAYD_HALF_OPEN, "derp", "gauge_half_open_connections", NULL, NULL },
	{ RELAYD_DUP_CONNS_TOTAL, "derp", "counter_total_dup_client_conns",
	  NULL, NULL },
	{ RELAYD_ACCEPTS, "derp", "accepts", NULL, NULL },
	{ RELAYD_UNKNOWN_FRAMES, "derp", "unknown_frames", NULL, NULL },
	{ RELAYD_GOT_PING, "derp", "got_ping", NULL, NULL },
	{ RELAYD_SENT_PONG, "derp", "sent_pong", NULL, NULL },
	{ RELAYD_BYTES_RECEIVED, "derp", "bytes_received", NULL, NULL },
	{ RELAYD_BYTES_SENT, "derp", "bytes_sent", NULL, NULL },
	{ RELAYD_PACKETS_RECEIVED, "derp", "packets_received", NULL, NULL },
	{ RELAYD_PACKETS_SENT, "derp", "packets_sent", NULL, NULL },
	{ RELAYD_RECEIVED_DISCO, "derp", "counter_packets_received_kind",
	  "kind", "disco" },
	{ RELAYD_RECEIVED_OTHER, "derp", "counter_packets_received_kind",
	  "kind", "other" },
	{ RELAYD_HOME_MOVES_IN, "derp", "home_moves_in", NULL, NULL },
	{ RELAYD_HOME_MOVES_OUT, "derp", "home_moves_out", NULL, NULL },
	{ RELAYD_GONE_DISCONNECTED_FRAMES, "derp", "peer_gone_disconnected_frames",
	  NULL, NULL },
	{ RELAYD_GONE_NOT_HERE_FRAMES, "derp", "peer_gone_not_here_frames",
	  NULL, NULL },
	{ RELAYD_FORWARDED_OUT, "derp", "packets_forwarded_out", NULL, NULL },
	{ RELAYD_FORWARDED_IN, "derp", "packets_forwarded_in", NULL, NULL },
	{ RELAYD_MULTIFORWARDER_CREATED, "derp", "multiforwarder_created",
	  NULL, NULL },
	{ RELAYD_MULTIFORWARDER_DELETED, "derp", "multiforwarder_deleted",
	  NULL, NULL },
	{ RELAYD_FORWARDER_DELETE_OTHER, "derp", "packet_forwarder_delete_other_value",
	  NULL, NULL },
	{ RELAYD_WRITE_TIMEOUTS, "derp", "sclient_write_timeouts", NULL, NULL },
	{ RELAYD_RTT_10, "derp", "counter_tcp_rtt", "le", "10ms" },
	{ RELAYD_RTT_20, "derp", "counter_tcp_rtt", "le", "20ms" },
	{ RELAYD_RTT_50, "derp", "counter_tcp_rtt", "le", "50ms" },
	{ RELAYD_RTT_100, "derp", "counter_tcp_rtt", "le", "100ms" },
	{ RELAYD_RTT_150, "derp", "counter_tcp_rtt", "le", "150ms" },
	{ RELAYD_RTT_250, "derp", "counter_tcp_rtt", "le", "250ms" },
	{ RELAYD_RTT_500, "derp", "counter_tcp_rtt", "le", "500ms" },
	{ RELAYD_RTT_INF, "derp", "counter_tcp_rtt", "le", "inf" },
	{ RELAYD_RTT_ERROR, "derp", "counter_tcp_rtt", "le", "error" },
	{ RELAYD_RATE_WAITS, "derp", "rate_limit_per_client_waited",
	  NULL, NULL },
	{ RELAYD_REJECTED, "derp", "clients_rejected", NULL, NULL },
	{ RELAYD_PROTOCOL_ERRORS, "derp", "protocol_errors", NULL, NULL },
	{ RELAYD_WEBSOCKET_ACCEPTS, "", "derp_websocket_accepts", NULL, NULL },
	{ RELAYD_HALF_OPEN_EVICTED, "derp", "half_open_evicted", NULL, NULL },
	{ RELAYD_HTTP_BAD, "derp", "http_bad_requests", NULL, NULL },
	{ RELAYD_TLS_12, "", "derper_tls_request_version", "version", "1.2" },
	{ RELAYD_TLS_13, "", "derper_tls_request_version", "version", "1.3" },
	{ RELAYD_TLS_12_ACTIVE, "", "gauge_derper_tls_active_version",
	  "version", "1.2" },
	{ RELAYD_TLS_13_ACTIVE, "", "gauge_derper_tls_active_version",
	  "version", "1.3" },
	{ RELAYD_TLS_FAILED, "", "derper_tls_handshakes_failed", NULL, NULL },
	{ RELAYD_TCP_ACCEPTED, "tls_listener", "counter_accepted_connections",
	  NULL, NULL },
	{ RELAYD_TCP_REJECTED, "tls_listener", "counter_rejected_connections",
	  NULL, NULL },
	{ RELAYD_STUN_READ_ERROR, "stun", "counter_requests",
	  "disposition", "read_error" },
	{ RELAYD_STUN_NOT_STUN, "stun", "counter_requests",
	  "disposition", "not_stun" },
	{ RELAYD_STUN_WRITE_ERROR, "stun", "counter_requests",
	  "disposition", "write_error" },
	{ RELAYD_STUN_SUCCESS, "stun", "counter_requests",
	  "disposition", "success" },
	{ RELAYD_STUN_IPV4, "stun", "counter_addrfamily", "family", "ipv4" },
	{ RELAYD_STUN_IPV6, "stun", "counter_addrfamily", "family", "ipv6" },
};

static const char *const drop_reasons[RELAYD_N_DROPS] = {
	[RELAYD_UNKNOWN_DEST] = "unknown_dest",
	[RELAYD_UNKNOWN_DEST_ON_FWD] = "unknown_dest_on_fwd",
	[RELAYD_GONE_DISCONNECTED] = "gone_disconnected",
	[RELAYD_QUEUE_HEAD] = "queue_head",
	[RELAYD_QUEUE_TAIL] = "queue_tail",
	[RELAYD_WRITE_ERROR] = "write_error",
	[RELAYD_DUP_CLIENT] = "dup_client",
};


static void sum(struct relayd_stats *total, const struct relayd_worker *w)
{
	const uint64_t *from = (const uint64_t *)&w->stats;
	uint64_t *to = (uint64_t *)total;
	size_t i;

	for (i = 0; i < sizeof(*total) / sizeof(*to); i++)
		to[i] += relayd_stat_read(&from[i]);
}

static long open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	long n = -3; /* ".", ".." and this one */

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static long resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}


static void put(put_fn fn, void *ctx, const char *group, const char *var,
		double n)
{
	const struct figure f = { .group = group, .var = var, .n = n };

	fn(ctx, &f);
}

static void put_drops(put_fn fn, void *ctx, const char *var,
		      const uint64_t v[RELAYD_N_DROPS][2])
{
	struct figure f = { .group = "",
			    .var = var,
			    .label = { "reason", "kind" } };
	size_t i, disco;

	for (i = 0; i < RELAYD_N_DROPS; i++)
		for (disco = 0; disco < 2; disco++) {
			f.value[0] = drop_reasons[i];
			f.value[1] = disco ? "disco" : "other";
			f.n = (double)v[i][disco];
			fn(ctx, &f);
		}
}

static void put_rates(put_fn fn, void *ctx, const struct relayd *server)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&server->lock;
	uint64_t rate, burst;

	pthread_mutex_lock(lock);
	rate = server->rate;
	burst = server->burst;
	pthread_mutex_unlock(lock);
	put(fn, ctx, "derp", "gauge_rate_limit_per_client_bytes_per_second",
	    (double)rate);
	put(fn, ctx, "derp", "gauge_rate_limit_per_client_burst_bytes",
	    (double)burst);
}

void relayd_metrics_sum(const struct relayd *server, struct relayd_stats *total)
{
	unsigned int i;

	memset(total, 0, sizeof(*total));
	sum(total, server->main);
	for (i = 0; i < server->n_workers; i++)
		sum(total, server->workers[i]);
}

/* All there is, to @fn. */
static void put_all(const struct relayd *server, put_fn fn, void *ctx)
{
	struct relayd_stats total;
	const uint64_t *v = total.v;
	size_t i;

	relayd_metrics_sum(server, &total);
	for (i = 0; i < ARRAY_SIZE(counted); i++) {
		const struct figure f = { .group = counted[i].group,
					  .var = counted[i].var,
					  .label = { counted[i].label },
					  .value = { counted[i].value },
					  .n = (double)(int64_t)
						  v[counted[i].stat] };

		fn(ctx, &f);
	}
	put_drops(fn, ctx, "derp_packets_dropped", total.dropped);
	put_drops(fn, ctx, "derp_bytes_dropped", total.dropped_bytes);
	put(fn, ctx, "derp", "gauge_clients_remote",
	    (double)(int64_t)(v[RELAYD_CLIENTS_TOTAL] -
			      v[RELAYD_CLIENTS_LOCAL]));
	put(fn, ctx, "derp", "average_queue_duration_ms",
	    v[RELAYD_QUEUE_PACKETS] ? (double)v[RELAYD_QUEUE_NS] / 1e6 /
					      (double)v[RELAYD_QUEUE_PACKETS] :
				      0.0);
	if (server->config->rate_file)
		put_rates(fn, ctx, server);
	put(fn, ctx, "derp", "gauge_current_file_descriptors",
	    (double)open_files());
	put(fn, ctx, "", "gauge_process_resident_memory_bytes",
	    (double)resident_bytes());
	put(fn, ctx, "", "counter_uptime_sec",
	    (double)((now_ns() - server->started_ns) / SEC_NS));
}

/* ── Prometheus ───────────────────────────────────────────────────────── */

struct prom {
	FILE *f;
	char last[128];
};

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static void put_prom(void *ctx, const struct figure *f)
{
	/* Falls too, though its name does not say so. */
	bool gauge = has_prefix(f->var, "gauge_") ||
		     has_prefix(f->var, "average_");
	const char *var = f->var;
	struct prom *p = ctx;
	char name[128];
	size_t i;

	if (has_prefix(var, "gauge_") || has_prefix(var, "counter_"))
		var = strchr(var, '_') + 1;
	snprintf(name, sizeof(name), "%s%s%s", f->group, *f->group ? "_" : "",
		 var);
	if (strcmp(name, p->last) != 0)
		fprintf(p->f, "# TYPE %s %s\n", name,
			gauge ? "gauge" : "counter");
	strcpy(p->last, name);
	fputs(name, p->f);
	for (i = 0; i < LABELS && f->label[i]; i++)
		fprintf(p->f, "%c%s=\"%s\"", i ? ',' : '{', f->label[i],
			f->value[i]);
	fprintf(p->f, "%s %.17g\n", i ? "}" : "", f->n);
}

char *relayd_metrics_text(const struct relayd *server)
{
	struct prom p = { .last = "" };
	char *text = NULL;
	size_t len;

	p.f = open_memstream(&text, &len);
	if (!p.f)
		abort();
	put_all(server, put_prom, &p);
	fprintf(p.f, "# TYPE derp_version gauge\n"
		     "derp_version{version=\"" TAILRACE_VERSION "\"} 1\n");
	fclose(p.f);
	return text;
}

/* ── /debug/vars ──────────────────────────────────────────────────────── */

/* The object @name of @in, made when it is not there. */
static json_object *within(json_object *in, const char *name)
{
	json_object *o;

	if (json_object_object_get_ex(in, name, &o))
		return o;
	o = json_object_new_object();
	json_object_object_add(in, name, o);
	return o;
}

static void put_var(void *ctx, const struct figure *f)
{
	json_object *o = ctx;
	const char *name = f->var;
	size_t i;

	if (*f->group)
		o = within(o, f->group);
	for (i = 0; i < LABELS && f->label[i]; i++) {
		o = within(o, name);
		name = f->value[i];
	}
	json_object_object_add(o, name,
			       (double)(int64_t)f->n == f->n ?
				       json_object_new_int64((int64_t)f->n) :
				       json_object_new_double(f->n));
}

char *relayd_metrics_vars(const struct relayd *server)
{
	json_object *o = json_object_new_object();
	char *text;

	put_all(server, put_var, o);
	json_object_object_add(within(o, "derp"), "version",
			       json_object_new_string(TAILRACE_VERSION));
	json_object_object_add(o, "version",
			       json_object_new_string(TAILRACE_VERSION));
	json_object_object_add(o, "process_start_unix_time",
			       json_object_new_int64(server->started_unix));
	text = xstrdup(json_object_to_json_string_ext(o,
						      JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return text;
}
