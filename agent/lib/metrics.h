/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_METRICS_H
#define LIB_METRICS_H

#include <stddef.h>
#include <stdint.h>

/*
 * One scrape in Prometheus' text format (0.0.4). Owners keep plain counters of
 * their own and append them here when somebody asks.
 */
struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* NULL is fine */

/*
 * @labels: `name="value",…` or NULL; use metrics_label() for values from
 * outside. The first sample of a name writes its HELP and TYPE lines, so
 * samples of one name must follow each other.
 */
void metrics_counter(struct metrics *m, const char *name, const char *help,
		     const char *labels, uint64_t value);
void metrics_gauge(struct metrics *m, const char *name, const char *help,
		   const char *labels, double value);

/* A latency histogram with fixed buckets; zeroed memory is an empty one. */
#define METRICS_BUCKETS 12
struct metrics_histogram {
	uint64_t count[METRICS_BUCKETS + 1]; /* the last: over all bounds */
	double sum; /* seconds */
};
void metrics_observe(struct metrics_histogram *h, uint64_t ns);
void metrics_histogram(struct metrics *m, const char *name, const char *help,
		       const char *labels, const struct metrics_histogram *h);

/* Process figures: RSS, CPU seconds, open descriptors. */
void metrics_process(struct metrics *m);

/* Escapes a label's value into @out; cut if too long. Returns @out. */
const char *metrics_label(const char *value, char *out, size_t cap);

/* The text so far; valid until the next call. */
const char *metrics_text(const struct metrics *m, size_t *len);

#endif
