/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_POLICY_DOC_H
#define COORD_POLICY_DOC_H

#include <uthash.h>

#include "coord/hujson.h"
#include "coord/ipset.h"
#include "coord/policy.h"

/* The parsed document; for coord/policy*.c only. */

enum policy_what {
	POLICY_ANY, /* "*" */
	POLICY_USER,
	POLICY_GROUP,
	POLICY_TAG,
	POLICY_MEMBER, /* autogroup:member: nodes without tags */
	POLICY_TAGGED, /* autogroup:tagged */
	POLICY_SELF, /* autogroup:self: the source's user's own nodes */
	POLICY_INTERNET, /* autogroup:internet: by way of an exit node */
	POLICY_DANGER_ALL, /* autogroup:danger-all: any source whatsoever */
	POLICY_RANGE, /* addresses, also by way of hosts */
};

struct policy_place {
	unsigned int line, column;
};

struct policy_user {
	char *login; /* without the @ that may end it in the file */
	unsigned int id; /* counts from 0 */
	UT_hash_handle hh;
};

struct policy_group {
	char *name;
	unsigned int id;
	struct policy_user **members;
	size_t n_members;
	UT_hash_handle hh;
};

struct policy_selector {
	enum policy_what what;
	union {
		const struct policy_user *user;
		const struct policy_group *group;
		const struct policy_tag *tag;
		struct ip_range range;
	};
};

struct policy_tag {
	char *name;
	unsigned int id;
	struct policy_selector *owners;
	size_t n_owners;
	UT_hash_handle hh;
};

struct policy_host {
	char *name;
	struct ip_range range;
	UT_hash_handle hh;
};

struct policy_ports {
	uint16_t first, last;
};

/* What a rule opens at some of its destinations. */
struct policy_service {
	uint8_t proto; /* 0: the default ones */
	struct policy_ports *ports;
	size_t n_ports;
	size_t first_dst, n_dst; /* of the rule's */
};

/* An entry of acls or of grants. */
struct policy_rule {
	struct policy_selector *src, *dst;
	size_t n_src, n_dst;
	struct policy_service *services;
	size_t n_services;
	struct policy_selector *via; /* tags of the routers that may be used */
	size_t n_via; /* 0: any */
};

struct policy_approver {
	struct prefix prefix;
	struct policy_selector *who;
	size_t n_who;
};

struct policy_attr_rule {
	struct policy_selector *targets;
	size_t n_targets;
	char **names;
	size_t n_names;
};

struct policy_expectation {
	struct policy_place place;
	bool accept;
	char *text; /* as written */
	struct policy_selector dst;
	uint16_t port;
};

struct policy_test_case {
	struct policy_place place;
	char *src_text;
	struct policy_selector src;
	uint8_t proto; /* 0: TCP or UDP */
	struct policy_expectation *expectations;
	size_t n_expectations;
};

struct policy {
	struct policy_user *users; /* every user the file names */
	struct policy_group *groups;
	struct policy_tag *tags;
	struct policy_host *hosts;
	bool has_rules; /* acls or grants are there, if empty */
	struct policy_rule *rules;
	size_t n_rules;
	struct policy_approver *approvers;
	size_t n_approvers;
	struct policy_selector *exit_approvers;
	size_t n_exit_approvers;
	struct policy_attr_rule *attrs;
	size_t n_attrs;
	struct policy_test_case *tests;
	size_t n_tests;
};

#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ICMPV6 58
#define PROTO_SCTP 132

/* A warning, or an error, at @line and @column. */
void policy_note(struct policy_report *r, bool warning, unsigned int line,
		 unsigned int column, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Into the order of the file. */
void policy_report_sort(struct policy_report *r);

/* policy_names.c: what stands in a string. */

/* Where a name stands decides which are possible. */
enum policy_role {
	POLICY_ROLE_SRC,
	POLICY_ROLE_DST,
	POLICY_ROLE_VIA,
	POLICY_ROLE_OWNER, /* of a tag; who approves routes */
	POLICY_ROLE_TARGET, /* of nodeAttrs */
	POLICY_ROLE_TEST_SRC,
	POLICY_ROLE_TEST_DST,
};

/*
 * These take @text, which stands at the value @at, and add an error to @r if it
 * is not what it should be.
 */
bool policy_read_selector(struct policy *p, struct policy_report *r,
			  const struct hujson *at, const char *text,
			  enum policy_role role, struct policy_selector *out);
/* "*", "22", "80,443", "1000-2000". *@out is malloced. */
bool policy_read_ports(struct policy_report *r, const struct hujson *at,
		       const char *text, struct policy_ports **out, size_t *n);
/* "tcp", "6". */
bool policy_read_proto(struct policy_report *r, const struct hujson *at,
		       const char *text, uint8_t *out);
/* An address, a prefix, or "first-last". */
bool policy_parse_range(const char *text, struct ip_range *out);
/*
 * A destination up to its last colon (*@host, malloced, untouched on errors),
 * and the ports behind it.
 */
bool policy_split_ports(struct policy_report *r, const struct hujson *at,
			char **host, const char **ports);
bool policy_ports_all(const struct policy_ports *ports, size_t n);
bool policy_has_ports(uint8_t proto);

struct policy_user *policy_intern_user(struct policy *p, const char *login);
struct policy_user *policy_find_user(const struct policy *p, const char *login);
bool policy_group_has(const struct policy_group *g,
		      const struct policy_user *user);

#endif
