// SPDX-License-Identifier: GPL-2.0
#include "lib/duration.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

#define DAY_NS (86400 * SEC_NS)
#define CENTURY_NS (100 * 365 * DAY_NS)

static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },	     { "us", 1000 },	  { "ms", MS_NS },
	{ "s", SEC_NS },     { "m", 60 * SEC_NS }, { "h", 3600 * SEC_NS },
	{ "d", DAY_NS },     { "w", 7 * DAY_NS },  { "y", 365 * DAY_NS },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const struct unit *find_unit(const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == n &&
		    !memcmp(units[i].name, name, n))
			return &units[i];
	return NULL;
}

/* One number with its unit from the front of *@text, added to *@ns. */
static int take(const char **text, uint64_t *ns)
{
	uint64_t whole = 0, tenths = 0, scale = 1;
	const struct unit *u;
	const char *p = *text;
	bool any = false;
	size_t n;

	for (; is_digit(*p); p++, any = true) {
		whole = whole * 10 + (uint64_t)(*p - '0');
		if (whole > CENTURY_NS)
			return -ERANGE;
	}
	if (*p == '.')
		for (p++; is_digit(*p); p++, any = true) {
			/* what a nanosecond cannot hold is not looked at */
			if (scale >= SEC_NS)
				continue;
			tenths = tenths * 10 + (uint64_t)(*p - '0');
			scale *= 10;
		}
	n = strcspn(p, ".0123456789");
	u = any ? find_unit(p, n) : NULL;
	if (!u)
		return -EINVAL;
	if (whole > CENTURY_NS / u->ns)
		return -ERANGE;
	*ns += whole * u->ns +
	       (uint64_t)((double)tenths / (double)scale * (double)u->ns);
	*text = p + n;
	return *ns > CENTURY_NS ? -ERANGE : 0;
}

int duration_parse(const char *text, uint64_t *ns)
{
	int err = 0;

	*ns = 0;
	if (!strcmp(text, "0"))
		return 0;
	if (!*text)
		return -EINVAL;
	while (*text && !err)
		err = take(&text, ns);
	return err;
}

const char *duration_format(uint64_t seconds, char out[DURATION_TEXT_MAX])
{
	unsigned long long h = seconds / 3600;
	unsigned int m = (unsigned int)(seconds / 60 % 60);
	unsigned int s = (unsigned int)(seconds % 60);

	if (h)
		snprintf(out, DURATION_TEXT_MAX, "%lluh%um%us", h, m, s);
	else if (m)
		snprintf(out, DURATION_TEXT_MAX, "%um%us", m, s);
	else
		snprintf(out, DURATION_TEXT_MAX, "%us", s);
	return out;
}
