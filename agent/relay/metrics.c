// SPDX-License-Identifier: GPL-2.0
#include "relay/metrics.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "relay/server.h"
#include "version.h"

enum kind {
	COUNTER,
	GAUGE,
};

/* In the order of Prometheus families: labelled ones stay together. */
static const struct metric {
	enum relayd_stat stat;
	enum kind kind;
	const char *name, *labels;
} metrics[] = {
	{RELAYD_CONNECTIONS, GAUGE, "derp_current_connections", ""},
	{RELAYD_HOME_CONNECTIONS, GAUGE, "derp_current_home_connections", ""},
	{RELAYD_NOT_IDEAL_CONNECTIONS, GAUGE,
	 "derp_current_notideal_connections", ""},
	{RELAYD_CLIENTS_TOTAL, GAUGE, "derp_clients_total", ""},
	{RELAYD_CLIENTS_LOCAL, GAUGE, "derp_clients_local", ""},
	{RELAYD_WATCHERS, GAUGE, "derp_watchers", ""},
	{RELAYD_DUP_KEYS, GAUGE, "derp_current_dup_client_keys", ""},
	{RELAYD_DUP_CONNS, GAUGE, "derp_current_dup_client_conns", ""},
	{RELAYD_HALF_OPEN, GAUGE, "derp_half_open_connections", ""},
	{RELAYD_DUP_CONNS_TOTAL, COUNTER, "derp_total_dup_client_conns", ""},
	{RELAYD_ACCEPTS, COUNTER, "derp_accepts", ""},
	{RELAYD_UNKNOWN_FRAMES, COUNTER, "derp_unknown_frames", ""},
	{RELAYD_GOT_PING, COUNTER, "derp_got_ping", ""},
	{RELAYD_SENT_PONG, COUNTER, "derp_sent_pong", ""},
	{RELAYD_BYTES_RECEIVED, COUNTER, "derp_bytes_received", ""},
	{RELAYD_BYTES_SENT, COUNTER, "derp_bytes_sent", ""},
	{RELAYD_PACKETS_RECEIVED, COUNTER, "derp_packets_received", ""},
	{RELAYD_PACKETS_SENT, COUNTER, "derp_packets_sent", ""},
	{RELAYD_RECEIVED_DISCO, COUNTER, "derp_packets_received_kind",
	 "{kind=\"disco\"}"},
	{RELAYD_RECEIVED_OTHER, COUNTER, "derp_packets_received_kind",
	 "{kind=\"other\"}"},
	{RELAYD_HOME_MOVES_IN, COUNTER, "derp_home_moves_in", ""},
	{RELAYD_HOME_MOVES_OUT, COUNTER, "derp_home_moves_out", ""},
	{RELAYD_GONE_DISCONNECTED_FRAMES, COUNTER,
	 "derp_peer_gone_disconnected_frames", ""},
	{RELAYD_GONE_NOT_HERE_FRAMES, COUNTER,
	 "derp_peer_gone_not_here_frames", ""},
	{RELAYD_FORWARDED_OUT, COUNTER, "derp_packets_forwarded_out", ""},
	{RELAYD_FORWARDED_IN, COUNTER, "derp_packets_forwarded_in", ""},
	{RELAYD_MULTIFORWARDER_CREATED, COUNTER, "derp_multiforwarder_created",
	 ""},
	{RELAYD_MULTIFORWARDER_DELETED, COUNTER, "derp_multiforwarder_deleted",
	 ""},
	{RELAYD_FORWARDER_DELETE_OTHER, COUNTER,
	 "derp_packet_forwarder_delete_other_value", ""},
	{RELAYD_WRITE_TIMEOUTS, COUNTER, "derp_sclient_write_timeouts", ""},
	{RELAYD_RTT_10, COUNTER, "derp_tcp_rtt", "{le=\"10ms\"}"},
	{RELAYD_RTT_20, COUNTER, "derp_tcp_rtt", "{le=\"20ms\"}"},
	{RELAYD_RTT_50, COUNTER, "derp_tcp_rtt", "{le=\"50ms\"}"},
	{RELAYD_RTT_100, COUNTER, "derp_tcp_rtt", "{le=\"100ms\"}"},
	{RELAYD_RTT_150, COUNTER, "derp_tcp_rtt", "{le=\"150ms\"}"},
	{RELAYD_RTT_250, COUNTER, "derp_tcp_rtt", "{le=\"250ms\"}"},
	{RELAYD_RTT_500, COUNTER, "derp_tcp_rtt", "{le=\"500ms\"}"},
	{RELAYD_RTT_INF, COUNTER, "derp_tcp_rtt", "{le=\"inf\"}"},
	{RELAYD_RTT_ERROR, COUNTER, "derp_tcp_rtt", "{le=\"error\"}"},
	{RELAYD_RATE_WAITS, COUNTER, "derp_rate_limit_per_client_waited", ""},
	{RELAYD_REJECTED, COUNTER, "derp_clients_rejected", ""},
	{RELAYD_PROTOCOL_ERRORS, COUNTER, "derp_protocol_errors", ""},
	{RELAYD_WEBSOCKET_ACCEPTS, COUNTER, "derp_websocket_accepts", ""},
	{RELAYD_HALF_OPEN_EVICTED, COUNTER, "derp_half_open_evicted", ""},
	{RELAYD_HTTP_BAD, COUNTER, "derp_http_bad_requests", ""},
	{RELAYD_TLS_12, COUNTER, "derper_tls_request_version",
	 "{version=\"1.2\"}"},
	{RELAYD_TLS_13, COUNTER, "derper_tls_request_version",
	 "{version=\"1.3\"}"},
	{RELAYD_TLS_FAILED, COUNTER, "derper_tls_handshakes_failed", ""},
	{RELAYD_TCP_ACCEPTED, COUNTER, "tls_listener_accepted_connections", ""},
	{RELAYD_TCP_REJECTED, COUNTER, "tls_listener_rejected_connections", ""},
	{RELAYD_STUN_READ_ERROR, COUNTER, "stun_requests",
	 "{disposition=\"read_error\"}"},
	{RELAYD_STUN_NOT_STUN, COUNTER, "stun_requests",
	 "{disposition=\"not_stun\"}"},
	{RELAYD_STUN_WRITE_ERROR, COUNTER, "stun_requests",
	 "{disposition=\"write_error\"}"},
	{RELAYD_STUN_SUCCESS, COUNTER, "stun_requests",
	 "{disposition=\"success\"}"},
	{RELAYD_STUN_IPV4, COUNTER, "stun_addrfamily", "{family=\"ipv4\"}"},
	{RELAYD_STUN_IPV6, COUNTER, "stun_addrfamily", "{family=\"ipv6\"}"},
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

static void type_line(FILE *f, const char *name, enum kind kind)
{
	fprintf(f, "# TYPE %s %s\n", name, kind == GAUGE ? "gauge" : "counter");
}

static void sum(struct relayd_stats *total, const struct relayd_worker *w)
{
	const uint64_t *from = (const uint64_t *)&w->stats;
	uint64_t *to = (uint64_t *)total;
	size_t i;

	for (i = 0; i < sizeof(*total) / sizeof(*to); i++)
		to[i] += relayd_stat_read(&from[i]);
}

static void put_drops(FILE *f, const char *name,
		      const uint64_t v[RELAYD_N_DROPS][2])
{
	size_t i, disco;

	type_line(f, name, COUNTER);
	for (i = 0; i < RELAYD_N_DROPS; i++)
		for (disco = 0; disco < 2; disco++)
			fprintf(f, "%s{reason=\"%s\",kind=\"%s\"} %llu\n", name,
				drop_reasons[i], disco ? "disco" : "other",
				(unsigned long long)v[i][disco]);
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

static void put_gauge(FILE *f, const char *name, double v)
{
	type_line(f, name, GAUGE);
	fprintf(f, "%s %.15g\n", name, v);
}

static void put_rates(FILE *f, const struct relayd *server)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&server->lock;
	uint64_t rate, burst;

	pthread_mutex_lock(lock);
	rate = server->rate;
	burst = server->burst;
	pthread_mutex_unlock(lock);
	put_gauge(f, "derp_rate_limit_per_client_bytes_per_second",
		  (double)rate);
	put_gauge(f, "derp_rate_limit_per_client_burst_bytes", (double)burst);
}

char *relayd_metrics_text(const struct relayd *server)
{
	struct relayd_stats total = {0};
	const char *last = "";
	char *text = NULL;
	size_t len, i;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		abort();
	sum(&total, server->main);
	for (i = 0; i < server->n_workers; i++)
		sum(&total, server->workers[i]);
	for (i = 0; i < ARRAY_SIZE(metrics); i++) {
		const struct metric *m = &metrics[i];

		if (strcmp(m->name, last) != 0)
			type_line(f, m->name, m->kind);
		last = m->name;
		fprintf(f, "%s%s %lld\n", m->name, m->labels,
			(long long)total.v[m->stat]);
	}
	put_drops(f, "derp_packets_dropped", total.dropped);
	put_drops(f, "derp_bytes_dropped", total.dropped_bytes);
	put_gauge(f, "derp_clients_remote",
		  (double)(int64_t)(total.v[RELAYD_CLIENTS_TOTAL] -
				    total.v[RELAYD_CLIENTS_LOCAL]));
	put_gauge(f, "derp_average_queue_duration_ms",
		  total.v[RELAYD_QUEUE_PACKETS] ?
			  (double)total.v[RELAYD_QUEUE_NS] / 1e6 /
				  (double)total.v[RELAYD_QUEUE_PACKETS] :
			  0.0);
	if (server->config->rate_file)
		put_rates(f, server);
	put_gauge(f, "derp_current_file_descriptors", (double)open_files());
	put_gauge(f, "process_resident_memory_bytes",
		  (double)resident_bytes());
	type_line(f, "derp_version", GAUGE);
	fprintf(f, "derp_version{version=\"" TAILRACE_VERSION "\"} 1\n");
	fclose(f);
	return text;
}
