// SPDX-License-Identifier: GPL-2.0
/* Mail between workers. */
#include <event2/event.h>
#include <sodium.h>
#include <unistd.h>

#include "relay/worker.h"
#include "tap.h"

static int woken, ran;

static void on_wake(struct relayd_queue *q)
{
	__atomic_add_fetch(&woken, 1, __ATOMIC_RELAXED);
}

static void on_task(void *arg)
{
	__atomic_add_fetch(&ran, 1, __ATOMIC_RELAXED);
}

int main(void)
{
	struct relayd_worker *a, *b;
	struct relayd_queue q;

	if (sodium_init() < 0)
		return 1;
	alarm(60); /* a lost wake-up is a hang */
	a = relayd_worker_new(NULL, 0);
	b = relayd_worker_new(NULL, 1);
	relayd_queue_init(&q, b, on_wake);
	tap_ok(!relayd_worker_start(b), "a worker starts");
	relayd_queue_kick(&q, a);
	event_base_loop(a->base, EVLOOP_NONBLOCK);
	while (!__atomic_load_n(&woken, __ATOMIC_RELAXED))
		usleep(1000);
	tap_ok(woken == 1, "a wake goes out at the end of the turn");
	q.pending = false;
	/* The turn of a worker that ends here has no end. */
	relayd_queue_kick(&q, a);
	relayd_worker_post(b, on_task, NULL);
	relayd_worker_stop(b);
	tap_ok(ran == 1 && woken == 2, "a task does not wait for that");
	relayd_queue_close(&q);
	relayd_worker_free(b);
	relayd_worker_free(a);
	return tap_done();
}
