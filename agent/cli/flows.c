// SPDX-License-Identifier: GPL-2.0
/* `tailrace flows`: flow records as the module sends them. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/flow.h"
#include "cli/follow.h"
#include "cli/sight.h"
#include "kernel/flow.h"

struct flows {
	struct sight sight;
	struct netlink nl; /* the one that listens */
	bool json, done;
	unsigned long count, printed;
};

static void show(struct flows *f, const struct tailrace_flow_record *r)
{
	struct json_object *o;

	if (f->json) {
		o = flow_json(r);
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		json_object_put(o);
	} else {
		flow_print(stdout, r);
	}
	f->done = (f->count && ++f->printed >= f->count) || ferror(stdout);
}

static void on_news(void *ctx, const struct nlmsghdr *h)
{
	struct flows *f = ctx;
	struct flow_news news;
	size_t i;

	if (!flow_news_parse(h, &news) || news.link != f->sight.link)
		return;
	for (i = 0; i < news.n && !f->done; i++) {
		struct tailrace_flow_record r = flow_news_at(&news, i);

		show(f, &r);
	}
}

static int start(struct flows *f)
{
	int err = netlink_open(&f->nl, NETLINK_GENERIC);

	if (!err)
		err = flow_listen(&f->nl);
	return err ? cli_error("cannot listen to flow records: %s",
			       strerror(-err)) :
		     0;
}

static void on_lost(void)
{
	fputs("tailrace: records were lost, they came faster than they were read; records_lost in 'tailrace status --json' counts them\n",
	      stderr);
}

/* Until a signal or the last of --count. */
static int run(struct flows *f)
{
	int err = follow(&f->nl, &f->done, on_news, f, on_lost);

	return err ? cli_error("%s", strerror(-err)) : 0;
}

static void warn_if_off(struct flows *f)
{
	struct module_device d;

	if (!module_device_get(&f->sight.nl, f->sight.family, f->sight.link,
			       &d) &&
	    !d.settings.records)
		fputs("tailrace: records are off; 'tailrace set --flow-records=10s' switches them on\n",
		      stderr);
}

int cmd_flows(struct cli *c, int argc, char **argv)
{
	struct flows f = { 0 };
	const char *device = NULL;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &f.json, "one object a line", false },
		{ "count", FLAG_NUMBER, &f.count, "ends after so many", false },
		{ "device", FLAG_TEXT, &device, "of several, which", false },
		{ 0 }
	};
	int n = flags_parse(flags, "", argc, argv), status;

	if (n == -2)
		puts("\n"
		     "Shows what the flows inside the tunnel did: of each one that has ended, and\n"
		     "every so often of those that go on, what it did since its last record.\n"
		     "'tailrace set --flow-records=10s' switches records on. Needs root, works\n"
		     "without tailraced.");
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (n < argc)
		return cli_error("flows takes no argument '%s'", argv[n]) + 1;
	if (sight_open(&f.sight, device))
		return 1;
	/* also into a pipe */
	setvbuf(stdout, NULL, _IOLBF, 0);
	status = start(&f);
	if (!status) {
		warn_if_off(&f);
		status = run(&f);
	}
	netlink_close(&f.nl);
	sight_close(&f.sight);
	return status;
}
