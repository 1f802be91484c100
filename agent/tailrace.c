// SPDX-License-Identifier: GPL-2.0
/* The command line. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define DEFAULT_SOCKET "/run/tailrace/tailraced.sock"

const struct cli_command cli_commands[] = {
	{ "up", "[flags]", "connect, log in if need be", cmd_up },
	{ "down", "", "disconnect, stay logged in", cmd_down },
	{ "set", "[flags]", "change preferences", cmd_set },
	{ "get", "[flags] [name]", "preferences as they are", cmd_get },
	{ "login", "[flags]", "log in", cmd_login },
	{ "logout", "", "disconnect and forget the node key", cmd_logout },
	{ "status", "[flags]", "this node and its peers", cmd_status },
	{ "ping", "[flags] <peer>", "how a peer is reached", cmd_ping },
	{ "ip", "[flags] [peer]", "addresses inside the tailnet", cmd_ip },
	{ "netcheck", "[flags]", "what the way out looks like", cmd_netcheck },
	{ "trace", "[conditions]", "what the packet filter decides, live",
	  cmd_trace },
	{ "flows", "[flags]", "what the flows in the tunnel did", cmd_flows },
	{ "policy", "rules | test",
	  "the rules in force; what they do with a packet", cmd_policy },
	{ "doctor", "[flags]", "what is wrong, and what to do", cmd_doctor },
	{ "metrics", "[print|write]", "figures for Prometheus", cmd_metrics },
	{ "relay", "[flags]", "serve DERP and STUN", cmd_relay },
	{ "coord", "<command>", "a coordination server", cmd_coord },
	{ "wait", "[flags]", "until the node runs", cmd_wait },
	{ "version", "[flags]", "", cmd_version },
	{ 0 }
};

static void usage(FILE *f)
{
	const struct cli_command *cmd;

	fputs("Usage: tailrace [--socket=PATH] <command> [flags] [arguments]\n\n",
	      f);
	for (cmd = cli_commands; cmd->name; cmd++)
		fprintf(f, "  %-10s %-16s %s\n", cmd->name, cmd->arguments,
			cmd->help);
	fputs("\n'tailrace <command> --help' shows its flags.\n", f);
}

int main(int argc, char **argv)
{
	struct cli c = { .socket = DEFAULT_SOCKET };
	const struct cli_command *cmd;
	int i = 1;

	if (argc > i && !strncmp(argv[i], "--socket=", 9))
		c.socket = argv[i++] + 9;
	if (argc <= i) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "help") ||
	    !strcmp(argv[i], "-h")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[i], "--version"))
		argv[i] += 2;
	for (cmd = cli_commands; cmd->name; cmd++)
		if (!strcmp(cmd->name, argv[i]))
			return cmd->run(&c, argc - i, argv + i);
	cli_error("no command '%s'", argv[i]);
	usage(stderr);
	return 2;
}
