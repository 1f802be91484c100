/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_POLICY_TEST_H
#define COORD_POLICY_TEST_H

#include "coord/policy.h"

/* Users and tags that the tests of one document may name. */
#define POLICY_MAX_IMAGINED 5000

/*
 * Runs the document's `tests` on @nodes. A user, group or tag that a test
 * names and that has no node yet is given an imagined one, so that a policy can
 * be tested before its first node joins (and by `coord policy check FILE`,
 * which has none: @nodes NULL). Returns the number of failed expectations, each
 * an error in @report with the place in the file.
 */
size_t policy_test(const struct policy *p, const struct policy_node *nodes,
		   size_t n, struct policy_report *report);

/*
 * policy_parse() and policy_test(): what stands between a file and its use.
 * NULL if either finds an error.
 */
struct policy *policy_load(const char *text, size_t len,
			   const struct policy_node *nodes, size_t n,
			   struct policy_report *report);

#endif
