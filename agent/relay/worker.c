// SPDX-License-Identifier: GPL-2.0
#include "relay/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <utlist.h>

#include "lib/util.h"

/*
 * So many callbacks before the loop asks for new events: a stream that keeps
 * itself active must not keep others from being seen.
 */
#define DISPATCH_MAX 128

/*
 * A worker with more than BUSY_PACKETS a second rests for REST_NS between two
 * turns of its loop: a delay far below what such a load has by itself.
 */
#define BUSY_PACKETS 8000
#define RATE_NS (10 * MS_NS)
#define REST_NS 100000

struct moderation {
	uint64_t since, packets; /* when and where the counting began */
	bool busy;
};

struct relayd_task {
	void (*fn)(void *arg);
	void *arg;
	struct relayd_task *prev, *next;
};

static void announce(struct relayd_worker *w)
{
	uint64_t one = 1;

	/* It cannot overflow, and full is as good as told. */
	if (write(w->mail_fd, &one, sizeof(one)) < 0)
		return;
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_worker *w = arg;
	struct relayd_queue *q;
	struct relayd_task *tasks, *t;

	pthread_mutex_lock(&w->mail_lock);
	w->announced = false;
	tasks = w->tasks;
	w->tasks = NULL;
	/* Waking is short and takes no lock: see relayd_queue's wake(). */
	while ((q = w->woken)) {
		DL_DELETE(w->woken, q);
		q->woken = false;
		q->wake(q);
	}
	pthread_mutex_unlock(&w->mail_lock);
	while ((t = tasks)) {
		DL_DELETE(tasks, t);
		t->fn(t->arg);
		free(t);
	}
}

/* Tells the workers whose queues we have woken. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_worker *w = arg;

	while (w->n_to_flush)
		announce(w->to_flush[--w->n_to_flush]);
}

struct relayd_worker *relayd_worker_new(struct relayd *server,
					unsigned int index)
{
	struct relayd_worker *w = xcalloc(1, sizeof(*w));
	struct event_config *config = event_config_new();

	w->server = server;
	w->index = index;
	w->random = randombytes_random() | 1;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_max_dispatch_interval(config, NULL, DISPATCH_MAX, 0);
	w->base = event_base_new_with_config(config);
	event_config_free(config);
	w->mail_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!w->base || w->mail_fd < 0)
		abort();
	pthread_mutex_init(&w->mail_lock, NULL);
	/* Edge-triggered: each write is an event, nobody has to read. */
	w->mail = event_new(w->base, w->mail_fd, EV_READ | EV_PERSIST | EV_ET,
			    on_mail, w);
	event_add(w->mail, NULL);
	w->flush = evtimer_new(w->base, on_flush, w);
	return w;
}

/*
 * Whether so many packets come that it pays to let some gather: then a read, a
 * record, a write and a turn of the loop are for several instead of each for
 * one. @m is the worker's; the rate is looked at every RATE_NS.
 */
static bool is_busy(struct moderation *m, uint64_t packets)
{
	uint64_t now = now_ns();

	if (now - m->since >= RATE_NS) {
		m->busy = (packets - m->packets) * SEC_NS >
			  BUSY_PACKETS * (now - m->since);
		m->since = now;
		m->packets = packets;
	}
	return m->busy;
}

static void *run(void *arg)
{
	static const struct timespec rest = { .tv_nsec = REST_NS };
	struct relayd_worker *w = arg;
	struct moderation m = { .since = now_ns() };
	uint64_t packets, before = 0;

	prctl(PR_SET_TIMERSLACK, 1000); /* else a rest takes 50 us more */
	while (!event_base_loop(w->base, EVLOOP_ONCE) &&
	       !event_base_got_break(w->base)) {
		packets = relayd_stat_read(&w->stats.v[RELAYD_PACKETS_RECEIVED]);
		if (packets != before && is_busy(&m, packets))
			nanosleep(&rest, NULL);
		before = packets;
	}
	return NULL;
}

int relayd_worker_start(struct relayd_worker *w)
{
	int err = pthread_create(&w->thread, NULL, run, w);

	w->running = !err;
	return -err;
}

static void stop(void *arg)
{
	event_base_loopbreak(arg);
}

void relayd_worker_stop(struct relayd_worker *w)
{
	if (!w->running)
		return;
	relayd_worker_post(w, stop, w->base);
	pthread_join(w->thread, NULL);
	w->running = false;
}

void relayd_worker_free(struct relayd_worker *w)
{
	if (!w)
		return;
	while (w->tasks) {
		struct relayd_task *t = w->tasks;

		DL_DELETE(w->tasks, t);
		free(t);
	}
	event_free(w->mail);
	event_free(w->flush);
	close(w->mail_fd);
	event_base_free(w->base);
	pthread_mutex_destroy(&w->mail_lock);
	free(w);
}

void relayd_worker_post(struct relayd_worker *w, void (*fn)(void *arg),
			void *arg)
{
	struct relayd_task *t = xcalloc(1, sizeof(*t));

	t->fn = fn;
	t->arg = arg;
	pthread_mutex_lock(&w->mail_lock);
	DL_APPEND(w->tasks, t);
	pthread_mutex_unlock(&w->mail_lock);
	/*
	 * Always: who has promised to announce may do so only at the end of its
	 * turn, or never, if it is being stopped.
	 */
	announce(w);
}

void relayd_worker_wake(struct relayd_worker *me, struct relayd_queue *q)
{
	struct relayd_worker *w = q->worker;
	bool tell = false;

	if (w == me) {
		q->wake(q);
		return;
	}
	pthread_mutex_lock(&w->mail_lock);
	if (!q->woken) {
		q->woken = true;
		DL_APPEND(w->woken, q);
		tell = !w->announced;
		w->announced = true;
	}
	pthread_mutex_unlock(&w->mail_lock);
	if (!tell)
		return;
	if (!me->n_to_flush)
		event_active(me->flush, EV_TIMEOUT, 0);
	me->to_flush[me->n_to_flush++] = w;
}

void relayd_worker_forget(struct relayd_worker *w, struct relayd_queue *q)
{
	pthread_mutex_lock(&w->mail_lock);
	if (q->woken) {
		DL_DELETE(w->woken, q);
		q->woken = false;
	}
	pthread_mutex_unlock(&w->mail_lock);
}

uint32_t relayd_worker_random(struct relayd_worker *w, uint32_t n)
{
	uint32_t x = w->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	w->random = x;
	return (uint32_t)(((uint64_t)x * n) >> 32);
}
