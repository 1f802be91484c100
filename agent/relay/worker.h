/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_WORKER_H
#define RELAY_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "relay/queue.h"
#include "relay/stats.h"

/*
 * One thread with an event loop and the connections that were given to it, for
 * their whole life. Other threads reach it by mail: queues to wake and tasks to
 * run, announced by one write to an eventfd for a whole batch.
 */
#define RELAYD_WORKERS_MAX 64u

struct event_base;
struct relayd;
struct relayd_conns;
struct relayd_task;

struct relayd_worker {
	struct relayd *server; /* may be NULL in tests */
	unsigned int index;    /* below RELAYD_WORKERS_MAX */
	struct event_base *base;
	struct relayd_stats stats;
	struct relayd_conns *conns; /* conn.c's; NULL: never had one */
	unsigned int load; /* connections; the acceptor adds, any thread reads */
	uint32_t random; /* for jitter; not for secrets */
	/* Workers whose mail we have filled, to be told by a flush. */
	struct relayd_worker *to_flush[RELAYD_WORKERS_MAX];
	unsigned int n_to_flush;
	struct event *flush;

	pthread_t thread;
	bool running;
	struct event *mail;
	int mail_fd;
	pthread_mutex_t mail_lock; /* guards the next three */
	struct relayd_queue *woken;
	struct relayd_task *tasks;
	bool announced;
};

/* A worker without a thread: its loop is the caller's to run. */
struct relayd_worker *relayd_worker_new(struct relayd *server,
					unsigned int index);
/* 0 or a negative errno. */
int relayd_worker_start(struct relayd_worker *w);
/* Ends the thread's loop, after the tasks so far, and joins it. */
void relayd_worker_stop(struct relayd_worker *w);
/* After the stop of all workers that might wake it. */
void relayd_worker_free(struct relayd_worker *w);

/* Runs @fn on @w's thread, soon and in order. From any thread. */
void relayd_worker_post(struct relayd_worker *w, void (*fn)(void *arg),
			void *arg);

/*
 * For queue.c: @q has something to write. Another worker hears of it at the end
 * of this turn of @me's loop, with everything else that is for it.
 */
void relayd_worker_wake(struct relayd_worker *me, struct relayd_queue *q);
void relayd_worker_forget(struct relayd_worker *w, struct relayd_queue *q);
/* Uniform in [0, n). */
uint32_t relayd_worker_random(struct relayd_worker *w, uint32_t n);

#endif
