/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_EXPRESSION_H
#define CLI_EXPRESSION_H

#include "kernel/verdict.h"

/*
 * Which verdicts to show, in the words of tcpdump and nft; all conditions have
 * to hold:
 *
 *   accept | drop | in | out | tcp | udp | sctp | icmp | icmp6 | tsmp |
 *   proto NUMBER | [src|dst] host ADDR | [src|dst] net PREFIX | from ADDR |
 *   to ADDR | [src|dst] port PORT | sport PORT | dport PORT | peer ID-OR-ADDR |
 *   reason NAME | rule ID | and
 *
 * ADDR is an address, a prefix or first-last; PORT a number or a service.
 */
struct expression {
	struct verdict_filter filter; /* without a peer that @peer names */
	struct ip_addr peer; /* who has it; no family: nobody was named so */
};

#define EXPRESSION_ERROR_MAX 256

/*
 * The words of @argv, which may have several each. 0; or -EINVAL and in @error
 * what is wrong.
 */
int expression_parse(struct expression *out, int argc, char **argv,
		     char error[EXPRESSION_ERROR_MAX]);

/* Of a protocol with a name: its number, else -1. */
int expression_proto(const char *name);
/* The name of an IP protocol; NULL when it has none here. */
const char *expression_proto_name(uint8_t proto);
/* A number or a service's name; -1 when it is neither. */
int expression_port(const char *text);

#endif
