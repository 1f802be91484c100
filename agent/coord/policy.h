/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_POLICY_H
#define COORD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/*
 * The policy file: HuJSON in the public policy format. A document is immutable;
 * a change is a new document, parsed, tested (policy_test.h) and swapped, so a
 * bad file leaves the running policy as it was. What it means for the nodes of
 * a tailnet is policy_compile.h's matter.
 *
 * Understood: groups, tagOwners, hosts, acls, grants (ip, via), autoApprovers,
 * tests, nodeAttrs (attr). Named in a warning and otherwise without effect:
 * ssh, sshTests and what else the public format has and we do not do. Every
 * other name is an error: a rule that is silently not there helps no one.
 */

/* Bounds. More is an error of the file. */
#define POLICY_MAX_BYTES (1u << 20)
#define POLICY_MAX_DEPTH 16
#define POLICY_MAX_RULES 10000 /* acls and grants together */
#define POLICY_MAX_REFS 200000 /* values of any kind in the file */
#define POLICY_MAX_ERRORS 20 /* reported at once; likewise warnings */

/* A node as the policy sees it. All pointers belong to the caller. */
struct policy_node {
	int64_t id;
	/* Login name of the owner ("alice", "alice@example.com"); NULL: none. */
	const char *user;
	/* A tagged node belongs to its tags ("tag:web"), not to @user. */
	const char *const *tags;
	size_t n_tags;
	const struct ip_addr *addresses; /* inside the tailnet */
	size_t n_addresses;
	const struct prefix *routes; /* approved ones, exit routes (/0) too */
	size_t n_routes;
};

/* One finding. Line and column (in bytes) count from 1. */
struct policy_message {
	bool warning;
	unsigned int line, column;
	char *text; /* what was found and what is expected; printable */
};

/* Zero-initialised by the caller; cleared by policy_report_clear(). */
struct policy_report {
	struct policy_message *messages; /* in the file's order */
	size_t n_messages;
	size_t n_errors;
	bool more; /* there are more errors than POLICY_MAX_ERRORS */
};

void policy_report_clear(struct policy_report *r);
/* "name:line:column: text" or "name:line:column: warning: text"; malloced. */
char *policy_message_format(const struct policy_message *m, const char *name);

struct policy;

/*
 * Reads a file's @len bytes at @text, which need not outlive the call. The
 * document, or NULL with at least one error in @report; warnings come with
 * either. Tests are parsed here and run by policy_test().
 */
struct policy *policy_parse(const char *text, size_t len,
			    struct policy_report *report);
void policy_free(struct policy *p);

/* No policy (a NULL document) allows everything, as public servers do. */

/* Whether tagOwners has @tag ("tag:web"). Without a policy: no tag exists. */
bool policy_tag_exists(const struct policy *p, const char *tag);

/*
 * May a node of user @login (NULL: none), which bears @tags now, take on
 * @tag? By its user or a group of his, or by a tag it has that owns @tag.
 */
bool policy_may_tag(const struct policy *p, const char *login,
		    const char *const *tags, size_t n_tags, const char *tag);

/*
 * Do the autoApprovers approve @route (an exit route: /0) for @node? Only its
 * user and tags count. Without a policy: nothing is.
 */
bool policy_approves_route(const struct policy *p,
			   const struct policy_node *node,
			   const struct prefix *route);

#endif
