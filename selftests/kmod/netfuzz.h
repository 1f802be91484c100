/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netfuzz: what its parts share. netfuzz.c is the loop, netfuzz_message.c makes
 * messages, netfuzz_socket.c sends them and reads answers, netfuzz_model.c
 * knows what must be in force after those.
 */
#ifndef _NETFUZZ_H
#define _NETFUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCKETS 3
#define DEVICES 2
#define BATCH 16 /* messages in a send, at most */
#define ROOM (1 << 18) /* bytes in a send, or an answer */
#define COMMANDS 64 /* more than there are */
#define ERRNOS 200

/* A policy as it is dumped: the local set, then the rules, tagged. */
struct model {
	bool is_valid;
	size_t n_local, n_rules;
	uint8_t *local, *rules;
	unsigned int rule_count;
};

struct device {
	unsigned int ifindex;
	bool is_attached;
	struct model committed;
	bool has_policy;
	uint32_t generation;
};

/* What an answer will be about. */
struct asked {
	uint32_t seq;
	int cmd;
	unsigned int ifindex;
	bool is_dump;
	uint8_t *body; /* of POLICY_ADD */
	size_t len;
};

struct channel {
	int fd;
	struct asked asked[BATCH];
	int n_asked;
	struct model pending[DEVICES];
};

/* Answers by command, and by what was refused for. */
struct figures {
	unsigned long ok[COMMANDS], refused[COMMANDS], errors[ERRNOS];
};

extern struct device devices[DEVICES];
extern struct channel channels[SOCKETS];
extern struct figures figures;

/* netfuzz_model.c */

void model_forget(struct model *m);
/* What a POLICY_ADD, or a message of a dump, has of a policy. */
void model_append(struct model *m, const uint8_t *data, size_t len);
bool model_is_equal(const struct model *a, const struct model *b);
/* @q was answered with @error, 0 or a negative errno. */
void model_happened(struct channel *ch, const struct asked *q, int error);

/* netfuzz_socket.c; all of it ends the program when netlink itself fails */

int socket_open(void);
/* The number of the module's family. */
uint16_t socket_family(void);
/* The answers to everything that was asked. */
void socket_drain(struct channel *ch);
/* Asks for one device; a dumped policy goes to @m. Return: 0 or an errno. */
int socket_ask(int fd, int cmd, unsigned int ifindex, bool dump,
	       struct model *m);

/* netfuzz_message.c */

/* The same from the same seed. */
void message_seed(uint64_t seed);
uint32_t rnd(uint32_t n);
bool one_in(uint32_t n);
uint32_t message_seq(void);
/* Makes what a socket may be bound by. */
void message_init(void);
/*
 * Up to @n messages in one buffer of the file's; @made: how many. Notes in @ch
 * what will be answered. Return: the bytes.
 */
size_t message_batch(struct channel *ch, int n, int *made, uint8_t **data);
/* Of the YAML; NULL when there is none. */
const char *message_name(int cmd);

#endif
