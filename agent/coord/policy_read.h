/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_POLICY_READ_H
#define COORD_POLICY_READ_H

#include "coord/policy_doc.h"

/* Reading a policy file; for coord/policy*.c only. */

struct policy_reader {
	struct policy *policy;
	struct policy_report *report;
};

/* A member of an object: read, or named in a warning or an error. */
struct policy_field {
	const char *name;
	enum hujson_kind kind;
	void (*read)(struct policy_reader *rd, const struct hujson *v,
		     void *out);
	const char *ignored; /* why it has no effect */
	const char *refused; /* why it cannot be left out either */
	bool number; /* may be a number where a string is expected */
	bool needed;
};

#define FIELD(name_, kind_, read_) \
	.name = name_, .kind = kind_, .read = read_

#define NO_POSTURE                                                         \
	"device posture is not known here, and without it the rule would " \
	"allow more than is written"

/* An error at @v: @before, @text in quotes and @after. */
void policy_error_at(struct policy_reader *rd, const struct hujson *v,
		     const char *before, const char *text, const char *after);
/* False, having said so, if @v (@what in messages) is of another kind. */
bool policy_is_kind(struct policy_reader *rd, const struct hujson *v,
		    enum hujson_kind kind, const char *what);
/*
 * The members of @o to the functions that read them. Names in any case, as old
 * files have them; those with a # are other programs' notes. null is absent.
 */
void policy_read_object(struct policy_reader *rd, const struct hujson *o,
			const struct policy_field *fields, size_t n,
			void *out);
/* A list of names; *@out is malloced. */
void policy_read_selectors(struct policy_reader *rd, const struct hujson *list,
			   enum policy_role role, struct policy_selector **out,
			   size_t *n);

/* policy_rules.c: these sections. */
void policy_read_acls(struct policy_reader *rd, const struct hujson *list,
		      void *out);
void policy_read_grants(struct policy_reader *rd, const struct hujson *list,
			void *out);

#endif
