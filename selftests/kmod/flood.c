// SPDX-License-Identifier: GPL-2.0
/*
 * flood DEVICE ADDRESS PORT KIND COUNT RATE [KEY]: sends COUNT UDP packets to
 * ADDRESS and PORT through an Ethernet device, each from another source, RATE a
 * second, or for 0 as fast as it can. KIND is disco, geneve or stun; disco names
 * KEY, 64 hex digits, or a random one. The other end's hardware address is
 * 02:00:00:00:00:01. Prints how many ns it took.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 32
#define PAYLOAD 102 /* of a disco ping */
#define KEY_OFF 6

struct frame {
	struct ether_header ether;
	uint8_t b[sizeof(struct ip6_hdr) + sizeof(struct udphdr) + 8 +
		  PAYLOAD];
} __attribute__((packed));

static struct frame frames[BATCH];
static uint64_t state = 88172645463325252;
static bool is_v6, has_key;
static size_t payload_off, key_off, size;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void parse_key(const char *text, uint8_t *key)
{
	int i;

	for (i = 0; i < 32; i++)
		if (sscanf(text + 2 * i, "%2hhx", &key[i]) != 1)
			errx(2, "KEY is 64 hex digits");
	has_key = true;
}

static uint32_t sum(const void *data, size_t n, uint32_t s)
{
	const uint8_t *b = data;
	size_t i;

	for (i = 0; i < n; i++)
		s += i % 2 ? b[i] : b[i] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons(~s);
}

/* All that is the same in every packet. */
static void prepare(struct frame *f, const char *to, uint16_t port,
		    const char *kind, const char *key)
{
	static const uint8_t magic[] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };
	static const uint8_t geneve[] = { 0, 0x80, 0x7a, 0x11, 0, 0, 1, 0 };
	static const uint8_t stun[] = { 1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42 };
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 1 };
	struct udphdr *udp;
	uint8_t *b;

	memcpy(f->ether.ether_dhost, mac, 6);
	f->ether.ether_type = htons(is_v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	payload_off = (is_v6 ? sizeof(struct ip6_hdr) : sizeof(struct ip)) +
		      sizeof(*udp);
	b = f->b + payload_off;
	key_off = 0;
	if (!strcmp(kind, "geneve")) {
		memcpy(b, geneve, sizeof(geneve));
		b += sizeof(geneve);
	}
	if (!strcmp(kind, "stun")) {
		memcpy(b, stun, sizeof(stun));
	} else {
		memcpy(b, magic, sizeof(magic));
		key_off = b + KEY_OFF - f->b;
		if (key)
			parse_key(key, f->b + key_off);
	}
	size = b + PAYLOAD - f->b;
	udp = (void *)(f->b + payload_off - sizeof(*udp));
	udp->uh_sport = htons(41641);
	udp->uh_dport = htons(port);
	udp->uh_ulen = htons(size - (payload_off - sizeof(*udp)));
	if (is_v6) {
		struct ip6_hdr *ip = (void *)f->b;

		ip->ip6_flow = htonl(6 << 28);
		ip->ip6_plen = udp->uh_ulen;
		ip->ip6_nxt = IPPROTO_UDP;
		ip->ip6_hlim = 64;
		inet_pton(AF_INET6, to, &ip->ip6_dst);
	} else {
		struct ip *ip = (void *)f->b;

		ip->ip_v = 4;
		ip->ip_hl = 5;
		ip->ip_len = htons(size);
		ip->ip_ttl = 64;
		ip->ip_p = IPPROTO_UDP;
		inet_pton(AF_INET, to, &ip->ip_dst);
	}
}

/* Somebody else: of 10.0.0.0/8, or of fd18::/16 in a /64 of his own. */
static void disguise(struct frame *f)
{
	struct udphdr *udp = (void *)(f->b + payload_off - sizeof(*udp));
	uint64_t r = rnd();

	if (key_off && !has_key)
		memcpy(f->b + key_off, &r, sizeof(r));
	if (is_v6) {
		struct ip6_hdr *ip = (void *)f->b;

		memcpy(&ip->ip6_src, &r, sizeof(r));
		ip->ip6_src.s6_addr[0] = 0xfd;
		ip->ip6_src.s6_addr[1] = 0x18;
		ip->ip6_src.s6_addr[15] = 1;
		udp->uh_sum = 0;
		udp->uh_sum = fold(sum(&ip->ip6_src, 32,
				       sum(udp, ntohs(udp->uh_ulen),
					   IPPROTO_UDP +
						   ntohs(udp->uh_ulen))));
	} else {
		struct ip *ip = (void *)f->b;

		ip->ip_src.s_addr = htonl(10 << 24 | (r & 0xfffffe) | 1);
		ip->ip_sum = 0;
		ip->ip_sum = fold(sum(ip, sizeof(*ip), 0));
	}
}

static void wait_until(uint64_t when)
{
	struct timespec t = { when / 1000000000, when % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
	struct mmsghdr messages[BATCH] = {};
	struct iovec parts[BATCH];
	uint64_t start, count, rate, sent = 0;
	int fd, i, n;

	if (argc < 7 || argc > 8)
		errx(2, "usage: flood DEVICE ADDRESS PORT KIND COUNT RATE [KEY]");
	is_v6 = strchr(argv[2], ':');
	count = strtoull(argv[5], NULL, 0);
	rate = strtoull(argv[6], NULL, 0);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	to.sll_ifindex = if_nametoindex(argv[1]);
	if (fd < 0 || !to.sll_ifindex)
		err(1, "%s", argv[1]);
	for (i = 0; i < BATCH; i++) {
		prepare(&frames[i], argv[2], atoi(argv[3]), argv[4], argv[7]);
		parts[i] = (struct iovec){ &frames[i],
					   sizeof(struct ether_header) + size };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &to,
						       .msg_namelen = sizeof(to),
						       .msg_iov = &parts[i],
						       .msg_iovlen = 1 };
	}
	start = now();
	while (sent < count) {
		if (rate)
			wait_until(start + sent * 1000000000 / rate);
		n = count - sent < BATCH ? count - sent : BATCH;
		for (i = 0; i < n; i++)
			disguise(&frames[i]);
		n = sendmmsg(fd, messages, n, 0);
		if (n < 0 && errno != ENOBUFS)
			err(1, "sending");
		sent += n > 0 ? n : 0;
	}
	printf("%llu\n", (unsigned long long)(now() - start));
	return 0;
}
