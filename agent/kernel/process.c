// SPDX-License-Identifier: GPL-2.0
#include "kernel/process.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <grp.h>
#include <linux/genetlink.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "engine/sandbox.h"
#include "kernel/broker.h"
#include "kernel/module.h"
#include "kernel/netlink.h"
#include "kernel/reconcile.h"
#include "kernel/watch.h"
#include "kernel/wire.h"
#include "lib/log.h"
#include "lib/util.h"

/* An engine that leaves this much unread is stuck: end, so both restart. */
#define UNREAD_MAX (16u << 20)

/* Repairs of what others changed: ten at once, then one in five seconds. */
#define REPAIR_BURST 10
#define REPAIR_NS (5 * SEC_NS)
#define REPAIR_DELAY_MS 250

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

/* WireGuard decrypts the packet that raised SOURCE_NTF a little later. */
#define ROAM_DELAY_MS 100

struct process {
	struct event_base *base;
	struct bufferevent *stream;
	int broker;
	struct reconcile *reconcile;
	struct watch *watch;
	struct netlink events; /* generic netlink's groups */
	uint32_t joined; /* the module's group, 0 none */
	struct event *on_events, *on_broker, *on_term, *on_engine;
	struct event *run, *roam;
	unsigned int retry_ms;
	unsigned int repairs; /* tokens */
	uint64_t repairs_at; /* when they were counted */
	int status;
};

static void stop(struct process *p, int status)
{
	if (status)
		p->status = status;
	event_base_loopbreak(p->base);
}

static void say(struct process *p, enum wire_type type, const void *body)
{
	struct evbuffer *out = bufferevent_get_output(p->stream);
	size_t n;
	uint8_t *frame = wire_encode(type, body, &n);

	evbuffer_add(out, frame, n);
	free(frame);
	if (evbuffer_get_length(out) > UNREAD_MAX) {
		log_error("the engine has stopped reading");
		stop(p, 1);
	}
}

/* A run is never postponed by another reason to run. */
static void schedule(struct event *timer, unsigned int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	struct timeval due, now;

	if (event_pending(timer, EV_TIMEOUT, &due)) {
		evutil_gettimeofday(&now, NULL);
		evutil_timeradd(&now, &tv, &now);
		if (!evutil_timercmp(&due, &now, >))
			return;
	}
	event_add(timer, &tv);
}

/* What the reconciler reports. */

static void on_applied(void *ctx, uint32_t link, uint16_t port,
		       const char *error)
{
	struct wire_applied a = { link, port, (char *)error };

	say(ctx, WIRE_APPLIED, &a);
}

static void on_activity(void *ctx, uint32_t peer, bool active)
{
	struct wire_peer e = { peer };

	say(ctx, active ? WIRE_PEER_ACTIVE : WIRE_PEER_IDLE, &e);
}

static void on_roamed(void *ctx, uint32_t peer, const struct endpoint *e)
{
	struct wire_roamed m = { peer, *e };

	say(ctx, WIRE_ROAMED, &m);
}

static const struct reconcile_ops reconcile_ops = {
	.applied = on_applied,
	.activity = on_activity,
	.roamed = on_roamed,
};

/* Running it. */

static void join_module(struct process *p)
{
	uint32_t group = reconcile_event_group(p->reconcile);

	if (group == p->joined)
		return;
	/* a module that was unloaded took its group along */
	p->joined = group;
	if (!group)
		return;
	if (netlink_join(&p->events, group)) {
		log_error("tailrace.ko's events: %s", strerror(errno));
		p->joined = 0;
	}
	/* what happened before */
	reconcile_ask_activity(p->reconcile);
}

static void run(struct process *p)
{
	bool good = reconcile_run(p->reconcile);

	event_del(p->run);
	watch_set(p->watch, reconcile_link(p->reconcile),
		  reconcile_port_id(p->reconcile));
	join_module(p);
	if (good) {
		p->retry_ms = RETRY_MIN_MS;
		return;
	}
	schedule(p->run, p->retry_ms);
	p->retry_ms = p->retry_ms * 2 < RETRY_MAX_MS ? p->retry_ms * 2 :
						       RETRY_MAX_MS;
}

static void on_run(evutil_socket_t fd, short what, void *ctx)
{
	run(ctx);
}

static void on_roam(evutil_socket_t fd, short what, void *ctx)
{
	struct process *p = ctx;

	reconcile_ask_endpoints(p->reconcile);
}

/* The engine. */

static void answer_stats(struct process *p, bool rules)
{
	struct wire_stats s;

	reconcile_stats(p->reconcile, rules, &s);
	say(p, WIRE_STATS, &s);
	free(s.peers);
	free(s.device_json);
}

static void on_stream(struct bufferevent *bev, void *ctx)
{
	struct process *p = ctx;
	bool state = false, paths = false, rules = false;
	unsigned int questions = 0;
	struct wire_message m;
	int got;

	while ((got = wire_take(bufferevent_get_input(bev), &m)) > 0) {
		switch (m.type) {
		case WIRE_STATE:
			reconcile_set_state(p->reconcile, &m.u.state);
			p->retry_ms = RETRY_MIN_MS;
			state = true;
			break;
		case WIRE_PATH:
			reconcile_set_path(p->reconcile, &m.u.path);
			paths = true;
			break;
		case WIRE_TSMP:
			reconcile_send_tsmp(p->reconcile, &m.u.tsmp);
			break;
		case WIRE_STATS_ASK:
			questions++;
			rules |= m.u.ask.rules;
			break;
		case WIRE_APPLIED:
		case WIRE_PEER_ACTIVE:
		case WIRE_PEER_IDLE:
		case WIRE_ROAMED:
		case WIRE_LINK_CHANGED:
		case WIRE_STATS:
			/* not for us to get */
			break;
		}
		wire_free(&m);
	}
	if (got < 0) {
		log_error("garbled message from the engine");
		stop(p, 1);
		return;
	}
	if (state)
		run(p);
	else if (paths && !reconcile_run_paths(p->reconcile))
		run(p);
	while (questions--)
		answer_stats(p, rules);
}

static void on_stream_event(struct bufferevent *bev, short what, void *ctx)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		stop(ctx, 0);
}

static void keep_steer(void *ctx, int family, int fd)
{
	struct process *p = ctx;

	if (!reconcile_set_socket(p->reconcile, family, fd))
		schedule(p->run, 0);
}

static void on_broker(evutil_socket_t fd, short what, void *ctx)
{
	struct process *p = ctx;
	int err = broker_answer(fd, keep_steer, p);

	if (err == -EPIPE)
		stop(p, 0);
	else if (err && err != -EAGAIN)
		log_error("socket broker: %s", strerror(-err));
}

static void on_end(evutil_socket_t fd, short what, void *ctx)
{
	stop(ctx, 0);
}

/* Notifications. */

static void on_link_changed(void *ctx)
{
	say(ctx, WIRE_LINK_CHANGED, NULL);
}

static void on_ours_changed(void *ctx)
{
	struct process *p = ctx;
	uint64_t now = now_ns();
	unsigned int wait = REPAIR_DELAY_MS;

	if (event_pending(p->run, EV_TIMEOUT, NULL))
		return;
	while (p->repairs < REPAIR_BURST && now - p->repairs_at >= REPAIR_NS) {
		p->repairs++;
		p->repairs_at += REPAIR_NS;
	}
	if (p->repairs == REPAIR_BURST)
		p->repairs_at = now;
	if (p->repairs)
		p->repairs--;
	else
		wait = REPAIR_NS / MS_NS;
	schedule(p->run, wait);
}

static const struct watch_ops watch_ops = {
	.link_changed = on_link_changed,
	.ours_changed = on_ours_changed,
};

/* A family came or went; ours decides whether anything may pass. */
static void on_family(struct process *p, const struct nlmsghdr *h)
{
	const struct nlattr *tb[CTRL_ATTR_MAX + 1], *name;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	name = tb[CTRL_ATTR_FAMILY_NAME];
	if (name && mnl_attr_validate(name, MNL_TYPE_NUL_STRING) >= 0 &&
	    !strcmp(mnl_attr_get_str(name), TAILRACE_FAMILY_NAME)) {
		p->retry_ms = RETRY_MIN_MS;
		schedule(p->run, 0);
	}
}

static void on_event(void *ctx, const struct nlmsghdr *h)
{
	struct process *p = ctx;
	struct module_event e;

	if (h->nlmsg_type == GENL_ID_CTRL) {
		on_family(p, h);
		return;
	}
	if (!module_event_parse(h, &e) ||
	    e.link != reconcile_link(p->reconcile))
		return;
	switch (e.cmd) {
	case TAILRACE_CMD_PEER_ACTIVE_NTF:
	case TAILRACE_CMD_PEER_IDLE_NTF:
		reconcile_activity(p->reconcile, e.peer,
				   e.cmd == TAILRACE_CMD_PEER_ACTIVE_NTF);
		return;
	case TAILRACE_CMD_SOURCE_NTF:
		schedule(p->roam, ROAM_DELAY_MS);
		return;
	case TAILRACE_CMD_TSMP_NTF: {
		struct wire_tsmp t = { e.src, e.dst, (uint8_t *)e.data, e.n };

		say(p, WIRE_TSMP, &t);
		return;
	}
	case TAILRACE_CMD_RESYNC_NTF:
		reconcile_ask_activity(p->reconcile);
		schedule(p->roam, ROAM_DELAY_MS);
		return;
	default:
		/* the state follows from what we do */
		return;
	}
}

static void on_events(evutil_socket_t fd, short what, void *ctx)
{
	struct process *p = ctx;

	if (netlink_receive(&p->events, on_event, p)) {
		reconcile_ask_activity(p->reconcile);
		schedule(p->run, REPAIR_DELAY_MS);
	}
}

/* Setting up. */

/* Capabilities survive the change of the user once, to be cut down after. */
static int change_user(uid_t uid, gid_t gid)
{
	if (geteuid())
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) ||
	    setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

static int drop_privileges(uid_t uid, gid_t gid)
{
	static const cap_value_t keep[] = { CAP_NET_ADMIN };
	cap_value_t c;
	cap_t caps;
	int err;

	/* without CAP_SETPCAP it stays, and no_new_privs makes it moot */
	for (c = 0; CAP_IS_SUPPORTED(c); c++)
		if (c != CAP_NET_ADMIN)
			cap_drop_bound(c);
	err = change_user(uid, gid);
	if (err)
		return err;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	caps = cap_init();
	if (!caps)
		return -errno;
	if (cap_set_flag(caps, CAP_PERMITTED, 1, keep, CAP_SET) ||
	    cap_set_flag(caps, CAP_EFFECTIVE, 1, keep, CAP_SET) ||
	    cap_set_proc(caps))
		err = -errno;
	cap_free(caps);
	return err;
}

static int open_events(struct process *p)
{
	uint16_t id;
	uint32_t group = 0;
	int err = netlink_open(&p->events, NETLINK_GENERIC);

	if (!err)
		err = netlink_family(&p->events, "nlctrl", &id, "notify",
				     &group);
	if (!err)
		err = netlink_join(&p->events, group);
	return err;
}

/* The stream tells too, unless a child of the engine holds it open. */
static struct event *watch_engine(struct process *p, int pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? NULL : event_new(p->base, fd, EV_READ, on_end, p);
}

static int start(struct process *p, int stream, int engine_pid)
{
	int err = open_events(p);

	if (err)
		return err;
	p->reconcile = reconcile_new(&reconcile_ops, p);
	p->watch = p->reconcile ? watch_new(p->base, &watch_ops, p) : NULL;
	if (!p->watch)
		return -errno;
	evutil_make_socket_nonblocking(stream);
	p->stream = bufferevent_socket_new(p->base, stream, 0);
	p->run = evtimer_new(p->base, on_run, p);
	p->roam = evtimer_new(p->base, on_roam, p);
	p->on_events = event_new(p->base, mnl_socket_get_fd(p->events.socket),
				 EV_READ | EV_PERSIST, on_events, p);
	p->on_broker = event_new(p->base, p->broker, EV_READ | EV_PERSIST,
				 on_broker, p);
	p->on_term = evsignal_new(p->base, SIGTERM, on_end, p);
	p->on_engine = watch_engine(p, engine_pid);
	if (!p->stream || !p->run || !p->roam || !p->on_events ||
	    !p->on_broker || !p->on_term)
		return -ENOMEM;
	bufferevent_setcb(p->stream, on_stream, NULL, on_stream_event, p);
	bufferevent_enable(p->stream, EV_READ | EV_WRITE);
	event_add(p->on_events, NULL);
	event_add(p->on_broker, NULL);
	event_add(p->on_term, NULL);
	if (p->on_engine)
		event_add(p->on_engine, NULL);
	return 0;
}

static void free_event(struct event *e)
{
	if (e)
		event_free(e);
}

static void finish(struct process *p)
{
	if (p->on_engine)
		close(event_get_fd(p->on_engine));
	free_event(p->on_engine);
	free_event(p->on_term);
	free_event(p->on_broker);
	free_event(p->on_events);
	free_event(p->roam);
	free_event(p->run);
	if (p->stream)
		bufferevent_free(p->stream);
	watch_free(p->watch);
	if (p->reconcile)
		reconcile_free(p->reconcile);
	netlink_close(&p->events);
	event_base_free(p->base);
}

int kernel_process_run(int stream, int broker, int engine_pid, uid_t uid,
		       gid_t gid)
{
	struct process p = { .broker = broker, .retry_ms = RETRY_MIN_MS,
			     .repairs = REPAIR_BURST };
	const char *what = "keeping CAP_NET_ADMIN and nothing else";
	int err = drop_privileges(uid, gid);

	if (!err)
		err = sandbox_filter_calls(&what);
	if (err) {
		log_error("%s: %s", what, strerror(-err));
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	p.base = event_base_new();
	if (!p.base)
		abort();
	err = start(&p, stream, engine_pid);
	if (err) {
		log_error("kernel process: %s", strerror(-err));
		p.status = 1;
	} else {
		event_base_dispatch(p.base);
	}
	finish(&p);
	close(stream);
	close(broker);
	return p.status;
}

int kernel_process_cleanup(const char *ifname)
{
	int err = reconcile_cleanup(ifname);

	if (err)
		log_error("removing %s: %s", ifname, strerror(-err));
	return err ? 1 : 0;
}
