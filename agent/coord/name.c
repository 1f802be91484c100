// SPDX-License-Identifier: GPL-2.0
/* Names and tags. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "coord/model_internal.h"
#include "lib/json.h"
#include "lib/util.h"

void model_sanitize_name(char out[MODEL_NAME_MAX], const char *hostname)
{
	static const char *const suffixes[] = { ".localdomain", ".local",
						".lan" };
	size_t len = strlen(hostname), n = 0, i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t cut = strlen(suffixes[i]);

		if (len > cut && !strcasecmp(hostname + len - cut, suffixes[i])) {
			len -= cut;
			break;
		}
	}
	for (i = 0; i < len && n < MODEL_NAME_MAX - 1; i++) {
		unsigned char c = (unsigned char)hostname[i];

		if (c < 0x80 && isalnum(c))
			out[n++] = (char)tolower(c);
		else if (n && strchr("-_.@ ", c)) /* never in front */
			out[n++] = '-';
	}
	while (n && out[n - 1] == '-')
		n--;
	out[n] = '\0';
	if (!n)
		strcpy(out, "node");
}

/* @base with the number @i behind it, 0: without, to @out: has another it? */
static bool is_taken(struct model *m, const char *base, unsigned int i,
		     const struct coord_node *self, char out[MODEL_NAME_MAX])
{
	char suffix[16] = "";
	const struct coord_node *n;

	if (i)
		snprintf(suffix, sizeof(suffix), "-%u", i);
	snprintf(out, MODEL_NAME_MAX, "%.*s%s",
		 (int)(MODEL_NAME_MAX - 1 - strlen(suffix)), base, suffix);
	n = model_node_by_name(m, out);
	return n && n != self;
}

void node_pick_name(struct model *m, const char *hostname,
		    const struct coord_node *self, char out[MODEL_NAME_MAX])
{
	unsigned int taken = 0, next = 1, middle;
	char base[MODEL_NAME_MAX];

	model_sanitize_name(base, hostname);
	if (!is_taken(m, base, 0, self, out))
		return;
	/* Thousands may be called the same: no counting through. */
	while (is_taken(m, base, next, self, out)) {
		taken = next;
		next *= 2;
	}
	while (next - taken > 1) {
		middle = taken + (next - taken) / 2;
		if (is_taken(m, base, middle, self, out))
			taken = middle;
		else
			next = middle;
	}
	is_taken(m, base, next, self, out);
}

bool tag_is_valid(const char *tag)
{
	size_t i, n = strlen(tag);

	if (n < 5 || n >= MODEL_TAG_MAX || strncmp(tag, "tag:", 4) != 0 ||
	    !isalpha((unsigned char)tag[4]))
		return false;
	for (i = 5; i < n; i++)
		if (!isalnum((unsigned char)tag[i]) && tag[i] != '-')
			return false;
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int tags_copy(struct model *m, const char *const *tags, size_t n, char ***out,
	      size_t *n_out)
{
	size_t i, kept = 0;
	char **list;

	*out = NULL;
	*n_out = 0;
	if (n > MODEL_TAGS_MAX)
		return model_fail(m, -ENOSPC, "%zu tags, %d are allowed", n,
				  MODEL_TAGS_MAX);
	for (i = 0; i < n; i++)
		if (!tag_is_valid(tags[i]))
			return model_fail(
				m, -EINVAL,
				"'%.80s' is not a tag: 'tag:', a letter, then letters, digits and '-'",
				text_is_clean(tags[i], 80) ? tags[i] : "(this)");
	if (!n)
		return 0;
	list = xcalloc(n, sizeof(*list));
	for (i = 0; i < n; i++)
		list[i] = xstrdup(tags[i]);
	qsort(list, n, sizeof(*list), compare);
	for (i = 0; i < n; i++) {
		if (kept && !strcmp(list[kept - 1], list[i]))
			free(list[i]);
		else
			list[kept++] = list[i];
	}
	*out = list;
	*n_out = kept;
	return 0;
}
