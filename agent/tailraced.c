// SPDX-License-Identifier: GPL-2.0
/*
 * The daemon: splits into the kernel process, which keeps CAP_NET_ADMIN, and
 * the engine, which keeps nothing and talks to the network.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/agent.h"
#include "engine/sandbox.h"
#include "kernel/process.h"
#include "lib/log.h"
#include "lib/util.h"
#include "localapi/server.h"
#include "version.h"

#define DEFAULT_STATE_DIR "/var/lib/tailrace"
#define RUN_DIR "/run/tailrace"
#define DEFAULT_SOCKET RUN_DIR "/tailraced.sock"
#define DEFAULT_PORT 41641

struct options {
	const char *state_dir, *socket, *user, *ca_file;
	const char *metrics; /* where to listen, or NULL */
	char ifname[16];
	char run_dir[64]; /* the engine's own, for this device */
	uint16_t port;
	struct settings settings;
	bool verbose, cleanup;
};

static void usage(FILE *f)
{
	fputs("Usage: tailraced [options]\n"
	      "  --statedir=DIR   keys and preferences (" DEFAULT_STATE_DIR
	      ")\n"
	      "  --socket=PATH    LocalAPI (" DEFAULT_SOCKET ")\n"
	      "  --port=N         UDP port of WireGuard, 0: any (41641)\n"
	      "  --tun=NAME       WireGuard device (tailrace0)\n"
	      "  --user=NAME      user of the unprivileged process (tailrace)\n"
	      "  --ca-file=FILE   more roots to trust for the control server\n"
	      "  --strict[=BOOL], --max-stale=DURATION, --flow-table=N,\n"
	      "  --flow-records=DURATION\n"
	      "                   as 'tailrace set' has them, while it has not set them\n"
	      "  --metrics-listen=ADDR:PORT\n"
	      "                   serve Prometheus, by plain HTTP\n"
	      "  --verbose        log what happens to every path\n"
	      "  --cleanup        remove device, routes and rules, then exit\n"
	      "  --version\n",
	      f);
}

/* getopt_long()'s values of the settings' flags. */
#define OPTION_SETTING 256

static int setting_option(struct settings *s, enum setting which,
			  const char *text)
{
	const struct setting_info *info = &setting_infos[which];
	int err = setting_parse(s, which, text);

	if (err)
		log_error("--%s takes %s, not '%s'", info->flag, info->takes,
			  text);
	return err;
}

/* 0: go on; 1: exit with success; negative: a usage error, said. */
static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"statedir", required_argument, NULL, 's'},
		{"state", required_argument, NULL, 's'},
		{"socket", required_argument, NULL, 'S'},
		{"port", required_argument, NULL, 'p'},
		{"tun", required_argument, NULL, 't'},
		{"user", required_argument, NULL, 'u'},
		{"ca-file", required_argument, NULL, 'c'},
		{"strict", optional_argument, NULL,
		 OPTION_SETTING + SETTING_STRICT},
		{"max-stale", required_argument, NULL,
		 OPTION_SETTING + SETTING_MAX_STALE},
		{"flow-table", required_argument, NULL,
		 OPTION_SETTING + SETTING_FLOW_TABLE},
		{"flow-records", required_argument, NULL,
		 OPTION_SETTING + SETTING_FLOW_RECORDS},
		{"metrics-listen", required_argument, NULL, 'm'},
		{"verbose", optional_argument, NULL, 'v'},
		{"cleanup", no_argument, NULL, 'C'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0}};
	char *end;
	long port;
	int c;

	*o = (struct options){
		.state_dir = DEFAULT_STATE_DIR,
		.socket = DEFAULT_SOCKET,
		.user = "tailrace",
		.port = DEFAULT_PORT,
		.ifname = "tailrace0",
	};
	settings_init(&o->settings);
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->state_dir = optarg;
			break;
		case 'S':
			o->socket = optarg;
			break;
		case 'p':
			port = strtol(optarg, &end, 10);
			if (*end || !*optarg || port < 0 || port > 65535) {
				log_error("--port takes 0 to 65535, not '%s'",
					  optarg);
				return -EINVAL;
			}
			o->port = (uint16_t)port;
			break;
		case 't':
			if (!*optarg || strlen(optarg) >= sizeof(o->ifname) ||
			    strpbrk(optarg, "/ \t\n")) {
				log_error("--tun takes an interface name of at "
					  "most 15 characters, not '%s'",
					  optarg);
				return -EINVAL;
			}
			strcpy(o->ifname, optarg);
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'c':
			o->ca_file = optarg;
			break;
		case OPTION_SETTING ... OPTION_SETTING + SETTINGS_COUNT - 1:
			if (setting_option(&o->settings,
					   (enum setting)(c - OPTION_SETTING),
					   optarg))
				return -EINVAL;
			break;
		case 'm':
			o->metrics = optarg;
			break;
		case 'v':
			o->verbose = !optarg || strcmp(optarg, "0") != 0;
			break;
		case 'C':
			o->cleanup = true;
			break;
		case 'V':
			puts(TAILRACE_VERSION);
			return 1;
		case 'h':
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		log_error("unexpected argument '%s'", argv[optind]);
		return -EINVAL;
	}
	snprintf(o->run_dir, sizeof(o->run_dir), RUN_DIR "/%s", o->ifname);
	return 0;
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	event_base_loopbreak(arg);
}

/* What the engine listens on; made while there is the right to. */
struct listening {
	int api, metrics; /* -1: none */
};

static int engine_run(const struct options *o, int stream, int broker,
		      const struct listening *fds)
{
	struct agent_config config = {
		.state_dir = o->state_dir,
		.run_dir = o->run_dir,
		.ifname = o->ifname,
		.port = o->port,
		.defaults = o->settings,
		.ca_file = o->ca_file,
		.kernel_stream = stream,
		.kernel_broker = broker,
	};
	struct event_base *base = event_base_new();
	struct event *term = evsignal_new(base, SIGTERM, on_signal, base);
	struct event *intr = evsignal_new(base, SIGINT, on_signal, base);
	struct localapi *api;
	struct agent *agent;

	evsignal_add(term, NULL);
	evsignal_add(intr, NULL);
	agent = agent_new(base, &config);
	if (agent) {
		api = localapi_new(agent, fds->api);
		if (fds->metrics >= 0)
			localapi_scraped(api, fds->metrics);
		agent_start(agent);
		event_base_dispatch(base);
		localapi_free(api);
		agent_free(agent);
	}
	event_free(term);
	event_free(intr);
	event_base_free(base);
	return agent ? 0 : 1;
}

/* The engine's own directories, made while there is the right to. */
static int own_directory(const char *dir, const struct passwd *pw)
{
	if (mkdir(dir, 0700) && errno != EEXIST) {
		log_error("cannot make %s: %s", dir, strerror(errno));
		return -errno;
	}
	if (chown(dir, pw->pw_uid, pw->pw_gid) || chmod(dir, 0700)) {
		log_error("cannot give %s to %s: %s", dir, pw->pw_name,
			  strerror(errno));
		return -errno;
	}
	return 0;
}

static int prepare(const struct options *o, const struct passwd *pw,
		   struct listening *fds)
{
	if (mkdir(RUN_DIR, 0755) && errno != EEXIST) {
		log_error("cannot make " RUN_DIR ": %s", strerror(errno));
		return -errno;
	}
	if (own_directory(o->state_dir, pw) || own_directory(o->run_dir, pw))
		return -EPERM;
	fds->api = localapi_listen(o->socket);
	if (fds->api < 0)
		log_error("cannot listen on %s: %s", o->socket,
			  strerror(-fds->api));
	if (fds->api < 0 || !o->metrics)
		return fds->api;
	fds->metrics = localapi_listen_metrics(o->metrics);
	if (fds->metrics < 0)
		log_error("--metrics-listen=%s: %s", o->metrics,
			  strerror(-fds->metrics));
	return fds->metrics;
}

/*
 * The engine ends when the kernel process has closed their stream, or has ended
 * before: its failure is the daemon's, so that the service is restarted.
 */
static int engine_status(pid_t engine)
{
	int status;

	while (waitpid(engine, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		log_error("waiting for the engine: %s", strerror(errno));
		return 1;
	}
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	/* Told to end when it was ending already. */
	if (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT)
		return 0;
	log_error("the engine was killed: %s", strsignal(WTERMSIG(status)));
	return 1;
}

static int start(const struct options *o)
{
	const struct passwd *pw = getpwnam(o->user);
	int stream[2], broker[2], err;
	struct listening fds = { -1, -1 };
	const char *what;
	pid_t engine;
	int status;

	if (!pw) {
		log_error("there is no user '%s': 'make install' makes it, or "
			  "choose another by --user",
			  o->user);
		return 1;
	}
	if (prepare(o, pw, &fds) < 0)
		return 1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker)) {
		log_error("socketpair: %s", strerror(errno));
		return 1;
	}
	engine = fork();
	if (engine < 0) {
		log_error("fork: %s", strerror(errno));
		return 1;
	}
	if (engine > 0) {
		close_cleanup(&fds.api);
		close_cleanup(&fds.metrics);
		close(stream[1]);
		close(broker[1]);
		log_init("tailraced[kernel]", o->verbose);
		status = kernel_process_run(stream[0], broker[0], engine,
					    pw->pw_uid, pw->pw_gid);
		err = engine_status(engine);
		return status ? status : err;
	}
	close(stream[0]);
	close(broker[0]);
	log_init("tailraced[engine]", o->verbose);
	prctl(PR_SET_NAME, "tailraced-eng");
	err = sandbox_enter(pw->pw_uid, pw->pw_gid, &what);
	if (err) {
		log_error("%s: %s", what, strerror(-err));
		return 1;
	}
	return engine_run(o, stream[1], broker[1], &fds);
}

int main(int argc, char **argv)
{
	struct rlimit no_core = {0, 0};
	struct options o;
	int err;

	log_init("tailraced", false);
	err = parse_options(&o, argc, argv);
	if (err)
		return err < 0 ? 2 : 0;
	if (o.cleanup)
		return kernel_process_cleanup(o.ifname);
	if (sodium_init() < 0) {
		log_error("libsodium does not start");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_CORE, &no_core); /* keys are in memory */
	return start(&o);
}
