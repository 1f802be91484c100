// SPDX-License-Identifier: GPL-2.0
/* Figures for Prometheus, of the agent or, without one, of the module. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "kernel/stats.h"
#include "lib/file.h"
#include "lib/util.h"
#include "localapi/metrics.h"

/* An agent that is silent for that long is as good as none. */
#define ANSWER_SECONDS 20

/* What can be said without an agent; the module may not be there either. */
static char *without_agent(void)
{
	const char *why = NULL, *text;
	struct json_object *devices = stats_all_json(true, &why);
	struct metrics *m = metrics_new();
	char *copy;
	size_t n;

	if (why)
		cli_error("%s", why);
	metrics_gauge(m, "tailrace_agent_up", "Whether the agent answers.",
		      NULL, 0);
	if (devices)
		metrics_devices(m, devices);
	text = metrics_text(m, &n);
	copy = xstrdup(text);
	metrics_free(m);
	json_object_put(devices);
	return copy;
}

/* For node_exporter's textfile collector: as a whole, and for all to read. */
static int write_to(const char *path, const char *text)
{
	int err = file_write(path, text, strlen(text));

	if (err)
		return cli_error("cannot write %s: %s", path, strerror(-err));
	if (chmod(path, 0644))
		return cli_error("cannot let others read %s", path);
	return 0;
}

int cmd_metrics(struct cli *c, int argc, char **argv)
{
	struct flag none[] = { { 0 } };
	const char *path = NULL;
	char *text;
	int n, err;

	n = flags_parse(none, "[print | write <file>]", argc, argv);
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (argc - n == 2 && !strcmp(argv[n], "write"))
		path = argv[n + 1];
	else if (argc - n > 1 || (argc - n == 1 && strcmp(argv[n], "print")))
		return cli_error("usage: tailrace metrics [print | write <file>]") +
		       1;
	c->patience = ANSWER_SECONDS;
	err = cli_get_text(c, "usermetrics", &text);
	if (err && !c->unreachable)
		return err;
	if (err)
		text = without_agent();
	if (path)
		err = write_to(path, text) || err;
	else
		fputs(text, stdout);
	free(text);
	return err;
}
