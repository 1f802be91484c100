// SPDX-License-Identifier: GPL-2.0
#include "cli/question.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/expression.h"

#define TCP_SYN 0x02
#define TCP_ACK 0x10

__attribute__((format(printf, 2, 3))) static int
wrong(char error[QUESTION_ERROR_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, QUESTION_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* *@port stays as it is without one. The port may be a service's name. */
static int parse_end(struct ip_addr *ip, int *port, const char *text)
{
	const char *colon = strrchr(text, ':');
	char addr[IP_TEXT_MAX + 2];
	size_t n;

	if (!ip_parse(ip, text))
		return 0;
	if (!colon)
		return -EINVAL;
	n = (size_t)(colon - text);
	if (!n || n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	*port = expression_port(colon + 1);
	if (addr[0] == '[' && addr[n - 1] == ']') {
		addr[n - 1] = '\0';
		return *port < 0 || ip_parse(ip, addr + 1) ||
				       ip->family != 6 ?
			       -EINVAL :
			       0;
	}
	return *port < 0 || ip_parse(ip, addr) || ip->family != 4 ? -EINVAL : 0;
}

/* The whole text, 0 to 255; -1 when it is none. */
static int octet(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	return *text < '0' || *text > '9' || *end || n > 255 ? -1 : (int)n;
}

static int parse_proto(struct verdict_question *q, const char *name, bool port,
		       char *error)
{
	int proto;

	if (!name)
		proto = port		     ? IPPROTO_TCP :
			q->dst.family == 4 ? IPPROTO_ICMP :
					     IPPROTO_ICMPV6;
	else
		proto = expression_proto(name);
	if (proto < 0)
		proto = octet(name);
	if (proto < 0)
		return wrong(error, "'%s' is no IP protocol", name);
	/* nobody means the other version's */
	if (name && proto == IPPROTO_ICMP && q->dst.family == 6 &&
	    !strcmp(name, "icmp"))
		proto = IPPROTO_ICMPV6;
	q->proto = (uint8_t)proto;
	if (verdict_has_ports(q->proto) && !port)
		return wrong(error, "--dst needs a port: --dst=ADDR:PORT");
	if (!verdict_has_ports(q->proto) && port)
		return wrong(error, "'%s' has no ports", name);
	return 0;
}

static int parse_icmp(struct verdict_question *q,
		      const struct question_words *w, char *error)
{
	int type = q->dst.family == 4 ? 8 : 128, code = 0;

	if (!verdict_is_icmp(q->dst.family, q->proto))
		return w->icmp_type || w->icmp_code ?
			       wrong(error, "--icmp-type is of ICMP") :
			       0;
	if (w->icmp_type)
		type = octet(w->icmp_type);
	if (w->icmp_code)
		code = octet(w->icmp_code);
	if (type < 0 || code < 0)
		return wrong(error, "ICMP types and codes are 0 to 255");
	q->icmp_type = (uint8_t)type;
	q->icmp_code = (uint8_t)code;
	return 0;
}

int question_parse(struct verdict_question *out, const struct question_words *w,
		   char error[QUESTION_ERROR_MAX])
{
	/* a port that nobody's rules name, as clients have them */
	int sport = 49152, dport = -1, err;
	struct verdict_question q = { .out = w->out };

	if (!w->src || !w->dst)
		return wrong(error, "--src and --dst are needed");
	if (parse_end(&q.src, &sport, w->src))
		return wrong(error, "--src=%s is no address or address:port",
			     w->src);
	if (parse_end(&q.dst, &dport, w->dst))
		return wrong(error, "--dst=%s is no address or address:port",
			     w->dst);
	if (q.src.family != q.dst.family)
		return wrong(error, "--src and --dst are of unlike families");
	err = parse_proto(&q, w->proto, dport >= 0, error);
	if (!err)
		err = parse_icmp(&q, w, error);
	if (err)
		return err;
	if (w->established && q.proto != IPPROTO_TCP)
		return wrong(error, "--established is of TCP");
	if (verdict_has_ports(q.proto)) {
		q.sport = (uint16_t)sport;
		q.dport = (uint16_t)dport;
	}
	if (q.proto == IPPROTO_TCP)
		q.tcp_flags = w->established ? TCP_ACK : TCP_SYN;
	*out = q;
	return 0;
}
