// SPDX-License-Identifier: GPL-2.0
#include "relay/server.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/log.h"
#include "lib/util.h"
#include "relay/admission.h"
#include "relay/bootstrap.h"
#include "relay/conn.h"
#include "relay/listen.h"
#include "relay/mesh.h"
#include "relay/ratefile.h"
#include "relay/stund.h"
#include "relay/tls.h"
#include "relay/watch.h"

/* For the Restarting frames to go out. */
#define GOODBYE_MS 500

/* Each connection takes a file. */
static void raise_file_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l))
		log_warn("cannot raise the limit of open files: %s",
			 strerror(errno));
}

static int load_keys(struct relayd *s)
{
	const struct relayd_config *c = s->config;
	int err;

	if (c->key_file) {
		err = relayd_key_load(c->key_file, &s->private_key);
		if (err)
			return err;
	} else {
		key_generate(&s->private_key);
	}
	key_public(&s->public_key, &s->private_key);
	if (c->mesh_key_file) {
		err = relayd_mesh_key_load(c->mesh_key_file, &s->mesh_key);
		if (err)
			return err;
		s->has_mesh_key = true;
	}
	return 0;
}

static int open_sockets(struct relayd *s)
{
	const struct relayd_config *c = s->config;
	struct endpoint ep = c->listen;
	char text[ENDPOINT_TEXT_MAX];
	int err;

	err = relayd_listen(s, &ep, c->tls, false);
	if (err)
		return err;
	if (c->tls && c->http_port >= 0) {
		ep.port = (uint16_t)c->http_port;
		err = relayd_listen(s, &ep, false, true);
		if (err)
			return err;
	}
	if (c->stun_port < 0)
		return 0;
	ep.port = (uint16_t)c->stun_port;
	s->stun = relayd_stund_new(s->main->base, &ep, &s->main->stats, &err);
	if (err)
		log_error("cannot serve STUN on %s: %s; choose another port by "
			  "--stun-port, or --stun=false",
			  endpoint_format(&ep, text), strerror(-err));
	return err;
}

static int become(const char *user)
{
	const struct passwd *pw = getpwnam(user);

	if (!pw) {
		log_error("there is no user '%s'; make it (useradd --system), "
			  "or choose another by --user",
			  user);
		return -ENOENT;
	}
	if (initgroups(user, pw->pw_gid) || setgid(pw->pw_gid) ||
	    setuid(pw->pw_uid)) {
		log_error("cannot become user '%s': %s", user, strerror(errno));
		return -EPERM;
	}
	return 0;
}

/* Signals are for the main thread: workers start with all of them blocked. */
static int start_workers(struct relayd *s)
{
	sigset_t all, before;
	unsigned int i;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (i = 0; !err && i < s->n_workers; i++)
		err = relayd_worker_start(s->workers[i]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		log_error("cannot start a thread: %s", strerror(-err));
	return err;
}

static int start_admission(struct relayd *s)
{
	int err = relayd_checks_new(s, &s->checks);

	if (err)
		log_error("--verify-client-url takes an http or https URL, not "
			  "'%s'",
			  s->config->verify_url);
	return err;
}

static int start_mesh(struct relayd *s)
{
	int err = relayd_mesh_start(s, s->config->mesh_with, &s->mesh);

	if (err)
		log_error("--mesh-with takes HOST[:PORT][/DIALHOST],... and "
			  "needs --mesh-psk-file");
	return err;
}

static int start(struct relayd *s)
{
	const struct relayd_config *c = s->config;
	int err = load_keys(s);

	if (err)
		return err;
	if (c->tls) {
		s->tls = relayd_tls_load(c->cert_dir, c->hostname,
					 &s->public_key, c->ktls);
		if (!s->tls)
			return -EINVAL;
	}
	if (c->rate_file) {
		err = relayd_rate_load(c->rate_file, &s->rate, &s->burst);
		if (err)
			return err;
	}
	err = open_sockets(s);
	if (!err && c->user && *c->user)
		err = become(c->user);
	if (!err)
		s->bootstrap = relayd_bootstrap_new(s->main->base,
						    c->bootstrap_names,
						    c->unpublished_names);
	if (!err)
		err = start_admission(s);
	if (!err)
		err = start_workers(s);
	if (!err && c->mesh_with)
		err = start_mesh(s);
	return err;
}

struct relayd *relayd_new(const struct relayd_config *config)
{
	struct relayd *s = xcalloc(1, sizeof(*s));
	unsigned int i;

	raise_file_limit();
	s->config = config;
	s->started_ns = now_ns();
	s->started_unix = time(NULL);
	pthread_mutex_init(&s->lock, NULL);
	relayd_limit_init(&s->accept_limit, config->accept_limit,
			  config->accept_burst ? config->accept_burst :
						 config->accept_limit,
			  now_ns());
	s->table = relayd_table_new();
	s->watchers = relayd_watchers_new(s->table);
	s->n_workers = config->workers;
	s->main = relayd_worker_new(s, s->n_workers);
	for (i = 0; i < s->n_workers; i++)
		s->workers[i] = relayd_worker_new(s, i);
	if (start(s)) {
		relayd_free(s);
		return NULL;
	}
	return s;
}

static void on_close_all(void *arg)
{
	relayd_conn_close_all(arg);
}

void relayd_free(struct relayd *s)
{
	unsigned int i;

	if (!s)
		return;
	relayd_listen_stop(s);
	relayd_stund_free(s->stun);
	relayd_mesh_stop(s->mesh);
	for (i = 0; i < s->n_workers; i++) {
		if (s->workers[i]->running)
			relayd_worker_post(s->workers[i], on_close_all,
					   s->workers[i]);
	}
	for (i = 0; i < s->n_workers; i++)
		relayd_worker_stop(s->workers[i]);
	/* They wake each other until the last one has stopped. */
	for (i = 0; i < s->n_workers; i++)
		relayd_worker_free(s->workers[i]);
	relayd_mesh_free(s->mesh);
	relayd_checks_free(s->checks);
	relayd_bootstrap_free(s->bootstrap);
	relayd_worker_free(s->main);
	relayd_watchers_free(s->watchers);
	relayd_table_free(s->table);
	SSL_CTX_free(s->tls);
	key_wipe(&s->private_key);
	key_wipe(&s->mesh_key);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void on_rate(void *arg)
{
	relayd_conn_set_rate_all(arg);
}

void relayd_reload(struct relayd *s)
{
	const struct relayd_config *c = s->config;
	uint64_t rate, burst;
	unsigned int i;

	if (c->tls) {
		SSL_CTX *tls = relayd_tls_load(c->cert_dir, c->hostname,
					       &s->public_key, c->ktls);

		if (tls) {
			SSL_CTX *old;

			pthread_mutex_lock(&s->lock);
			old = s->tls;
			s->tls = tls;
			pthread_mutex_unlock(&s->lock);
			SSL_CTX_free(old); /* its sessions keep it */
			log_info("the certificate was read again");
		} else {
			log_warn("the certificate in use stays");
		}
	}
	if (c->rate_file && !relayd_rate_load(c->rate_file, &rate, &burst)) {
		pthread_mutex_lock(&s->lock);
		s->rate = rate;
		s->burst = burst;
		pthread_mutex_unlock(&s->lock);
		for (i = 0; i < s->n_workers; i++)
			relayd_worker_post(s->workers[i], on_rate,
					   s->workers[i]);
		log_info("%s was read again", c->rate_file);
	}
}

static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
	relayd_reload(arg);
}

static void on_restarting(void *arg)
{
	relayd_conn_restarting_all(arg);
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
	static const struct timeval goodbye = {.tv_usec = GOODBYE_MS * 1000};
	struct relayd *s = arg;
	unsigned int i;

	if (s->stopping) {
		event_base_loopbreak(s->main->base);
		return;
	}
	s->stopping = true;
	relayd_listen_stop(s);
	for (i = 0; i < s->n_workers; i++)
		relayd_worker_post(s->workers[i], on_restarting, s->workers[i]);
	event_base_loopexit(s->main->base, &goodbye);
}

int relayd_run(struct relayd *s)
{
	struct event *events[] = {
		evsignal_new(s->main->base, SIGHUP, on_hangup, s),
		evsignal_new(s->main->base, SIGTERM, on_term, s),
		evsignal_new(s->main->base, SIGINT, on_term, s),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(events); i++)
		event_add(events[i], NULL);
	event_base_dispatch(s->main->base);
	for (i = 0; i < ARRAY_SIZE(events); i++)
		event_free(events[i]);
	return 0;
}
