/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_SERVER_H
#define RELAY_SERVER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/key.h"
#include "relay/ratelimit.h"
#include "relay/table.h"
#include "relay/worker.h"

/*
 * `tailrace relay`: a DERP relay and STUN server (spec/derp.md). One process:
 * this thread accepts, answers STUN and takes signals; the workers have the
 * connections.
 */
struct relayd_client;
struct relayd_listener;
struct relayd_stund;
struct relayd_bootstrap;

struct relayd_config {
	struct endpoint listen; /* of both families if the address is :: */
	const char *hostname; /* in the certificate */
	const char *cert_dir;
	const char *key_file; /* {"PrivateKey":"privkey:…"} */
	const char *user;     /* "" or NULL: stay */
	const char *home;     /* "", "blank" or a URL for "/" */
	const char *bootstrap_names, *unpublished_names; /* bootstrap.h */
	const char *rate_file;
	const char *mesh_key_file;
	const char *mesh_with; /* mesh.h; NULL: nobody */
	bool mesh_only;	       /* and the next three: admission.h */
	const char *verify_socket, *verify_url;
	bool verify_fail_open;
	int http_port; /* -1: none */
	int stun_port; /* -1: none */
	unsigned int workers;
	bool tls; /* else plain HTTP: development only */
	bool derp; /* else /derp answers 404 */
	bool ktls; /* kernel TLS if the kernel has it */
	unsigned int accept_limit, accept_burst; /* a second; 0: no limit */
	unsigned int half_open_max;
	unsigned int write_timeout_ms; /* 0: none */
	unsigned int tcp_keepalive_ms, tcp_user_timeout_ms;
};

/*
 * Who may log in, asked on the client's worker after its ClientInfo has opened;
 * not for privileged ones. The answer is relayd_client_admit(), at once or
 * later, on the same worker.
 */
struct relayd_admission {
	void (*ask)(void *ctx, struct relayd_client *c);
	/* The client has gone while it was being asked. */
	void (*cancel)(void *ctx, struct relayd_client *c);
};

struct relayd {
	const struct relayd_config *config;
	struct key private_key, public_key;
	bool has_mesh_key;
	struct key mesh_key; /* a secret */
	struct relayd_table *table;
	struct relayd_worker *main; /* this thread's */
	struct relayd_worker *workers[RELAYD_WORKERS_MAX];
	unsigned int n_workers;
	struct relayd_watchers *watchers;
	struct relayd_mesh *mesh;
	struct relayd_checks *checks;
	const struct relayd_admission *admission; /* NULL: everybody */
	void *admission_ctx;
	struct relayd_listener *listeners;
	struct relayd_stund *stun;
	struct relayd_bootstrap *bootstrap; /* NULL: no names */
	struct relayd_limit accept_limit;
	bool stopping;
	uint64_t started_ns; /* of now_ns() */
	int64_t started_unix;
	pthread_mutex_t lock; /* guards the next four */
	struct relayd_traffic *traffic; /* the viewer, or NULL */
	SSL_CTX *tls;
	uint64_t rate, burst; /* a client's; 0: no limit */
};

/*
 * Reads the relay's private key from @path, and makes that file when there is
 * none. 0 or a negative errno, logged.
 */
int relayd_key_load(const char *path, struct key *private_key);

/*
 * Everything that needs rights: keys, certificate, sockets; then becomes
 * @config's user. @config outlives the server. NULL after an error, logged.
 */
struct relayd *relayd_new(const struct relayd_config *config);
/* Until SIGINT or SIGTERM. Returns the exit status. */
int relayd_run(struct relayd *s);
void relayd_free(struct relayd *s);
/* The certificate, the rate file: on SIGHUP. What cannot be read stays. */
void relayd_reload(struct relayd *s);

#endif
