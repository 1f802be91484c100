// SPDX-License-Identifier: GPL-2.0
/*
 * Does a relay let a stranger in? stranger IP PORT HOST CERTNAME: exit status 0
 * if the relay closes the connection of a new key after its login, 1 if it
 * welcomes it, 2 if neither happens.
 */
#include <event2/event.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/derp-client.h"
#include "../unit/derp-map.h"
#include "../unit/loop.h"

int main(int argc, char **argv)
{
	struct event_base *base;
	struct derp_client c;
	struct derp_node *n;
	struct test_map map;
	int status = 2;

	if (argc != 5 || sodium_init() < 0)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	memset(&map, 0, sizeof(map));
	n = test_map_node(&map, 1, argv[1], "none");
	n->derp_port = (uint16_t)atoi(argv[2]);
	n->host_name = argv[3];
	n->cert_name = argv[4];
	base = event_base_new();
	client_start(&c, base, NULL);
	derps_set_map(c.d, map.regions);
	derps_set_home(c.d, 1);
	RUN_UNTIL(base, c.connects || c.failures);
	printf("%s\n", c.connects ? "welcome" : c.why);
	if (c.connects)
		status = 1;
	else if (!strcmp(c.why, "closed by the other side"))
		status = 0;
	client_stop(&c);
	event_base_free(base);
	return status;
}
