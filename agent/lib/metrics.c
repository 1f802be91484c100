// SPDX-License-Identifier: GPL-2.0
#include "lib/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "lib/util.h"

struct metrics {
	char *text;
	size_t len, cap;
	const char *last; /* the name whose HELP and TYPE are written */
};

/* Upper bounds in seconds; the le labels are their text. */
static const struct {
	double s;
	const char *text;
} bounds[METRICS_BUCKETS] = {
	{ 0.0001, "0.0001" }, { 0.0005, "0.0005" }, { 0.001, "0.001" },
	{ 0.005, "0.005" },   { 0.01, "0.01" },	    { 0.05, "0.05" },
	{ 0.1, "0.1" },	      { 0.5, "0.5" },	    { 1, "1" },
	{ 5, "5" },	      { 30, "30" },	    { 120, "120" },
};

struct metrics *metrics_new(void)
{
	return xcalloc(1, sizeof(struct metrics));
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	free(m->text);
	free(m);
}

__attribute__((format(printf, 2, 3))) static void
add(struct metrics *m, const char *fmt, ...)
{
	va_list ap;
	int n;

	for (;;) {
		va_start(ap, fmt);
		n = vsnprintf(m->text ? m->text + m->len : NULL,
			      m->cap - m->len, fmt, ap);
		va_end(ap);
		if ((size_t)n < m->cap - m->len)
			break;
		m->cap = 2 * (m->cap + (size_t)n + 1);
		m->text = xrealloc(m->text, m->cap, 1);
	}
	m->len += (size_t)n;
}

static void head(struct metrics *m, const char *name, const char *help,
		 const char *type)
{
	if (m->last && !strcmp(m->last, name))
		return;
	m->last = name;
	add(m, "# HELP %s %s\n# TYPE %s %s\n", name, help ? help : "", name,
	    type);
}

static void sample(struct metrics *m, const char *name, const char *suffix,
		   const char *labels, const char *label2)
{
	bool both = labels && label2;

	add(m, "%s%s", name, suffix);
	if (labels || label2)
		add(m, "{%s%s%s}", labels ? labels : "", both ? "," : "",
		    label2 ? label2 : "");
}

void metrics_counter(struct metrics *m, const char *name, const char *help,
		     const char *labels, uint64_t value)
{
	head(m, name, help, "counter");
	sample(m, name, "", labels, NULL);
	add(m, " %" PRIu64 "\n", value);
}

void metrics_gauge(struct metrics *m, const char *name, const char *help,
		   const char *labels, double value)
{
	head(m, name, help, "gauge");
	sample(m, name, "", labels, NULL);
	add(m, " %.17g\n", value);
}

void metrics_observe(struct metrics_histogram *h, uint64_t ns)
{
	double s = (double)ns / (double)SEC_NS;
	size_t i;

	for (i = 0; i < METRICS_BUCKETS && s > bounds[i].s; i++)
		;
	h->count[i]++;
	h->sum += s;
}

void metrics_histogram(struct metrics *m, const char *name, const char *help,
		       const char *labels, const struct metrics_histogram *h)
{
	uint64_t total = 0;
	char le[32];
	size_t i;

	head(m, name, help, "histogram");
	for (i = 0; i <= METRICS_BUCKETS; i++) {
		total += h->count[i];
		snprintf(le, sizeof(le), "le=\"%s\"",
			 i < METRICS_BUCKETS ? bounds[i].text : "+Inf");
		sample(m, name, "_bucket", labels, le);
		add(m, " %" PRIu64 "\n", total);
	}
	sample(m, name, "_sum", labels, NULL);
	add(m, " %.9g\n", h->sum);
	sample(m, name, "_count", labels, NULL);
	add(m, " %" PRIu64 "\n", total);
}

static void open_descriptors(struct metrics *m)
{
	DIR *dir = opendir("/proc/self/fd");
	double n = 0;

	if (!dir)
		return;
	while (readdir(dir))
		n++;
	closedir(dir);
	/* less ".", ".." and the directory's own */
	metrics_gauge(m, "process_open_fds",
		      "Number of open file descriptors.", NULL, n - 3);
}

static void memory(struct metrics *m)
{
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return;
	if (fscanf(f, "%lu %lu", &size, &resident) == 2)
		metrics_gauge(m, "process_resident_memory_bytes",
			      "Resident memory size in bytes.", NULL,
			      (double)resident *
				      (double)sysconf(_SC_PAGESIZE));
	fclose(f);
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

void metrics_process(struct metrics *m)
{
	struct rusage u;
	struct rlimit r;

	if (!getrusage(RUSAGE_SELF, &u)) {
		head(m, "process_cpu_seconds_total",
		     "Total user and system CPU time spent in seconds.",
		     "counter");
		add(m, "process_cpu_seconds_total %.6f\n",
		    seconds(u.ru_utime) + seconds(u.ru_stime));
	}
	memory(m);
	open_descriptors(m);
	if (!getrlimit(RLIMIT_NOFILE, &r))
		metrics_gauge(m, "process_max_fds",
			      "Maximum number of open file descriptors.", NULL,
			      (double)r.rlim_cur);
}

const char *metrics_label(const char *value, char *out, size_t cap)
{
	size_t n = 0;

	for (; *value && n + 3 < cap; value++) {
		if (*value == '\\' || *value == '"')
			out[n++] = '\\';
		if (*value == '\n') {
			out[n++] = '\\';
			out[n++] = 'n';
		} else {
			out[n++] = *value;
		}
	}
	out[n] = '\0';
	return out;
}

const char *metrics_text(const struct metrics *m, size_t *len)
{
	*len = m->len;
	return m->text ? m->text : "";
}
