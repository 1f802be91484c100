// SPDX-License-Identifier: GPL-2.0
/* Blanks, strings, numbers, words, and what is wrong with them. */
#include "coord/hujson_token.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

bool hujson_fail(struct hujson_cursor *ps, const char *at, const char *fmt, ...)
{
	va_list ap;

	ps->err->line = ps->line;
	ps->err->column = (unsigned int)(at - ps->line_start) + 1;
	va_start(ap, fmt);
	vsnprintf(ps->err->text, sizeof(ps->err->text), fmt, ap);
	va_end(ap);
	return false;
}

/* What stands at @p, for a message. */
static const char *found(const struct hujson_cursor *ps, char out[32])
{
	unsigned char c;

	if (ps->p >= ps->end)
		return "the end of the file";
	c = (unsigned char)*ps->p;
	snprintf(out, 32, c > ' ' && c < 0x7f ? "'%c'" : "the byte 0x%02x", c);
	return out;
}

bool hujson_expected(struct hujson_cursor *ps, const char *what)
{
	char buf[32];

	return hujson_fail(ps, ps->p, "%s where %s is expected", found(ps, buf),
			   what);
}

/* The length of the UTF-8 sequence at @p, 0 if there is none (RFC 3629). */
static size_t utf8_length(const char *text, const char *end)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n, i;

	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 :
	    p[0] >= 0xe0 && p[0] <= 0xef ? 3 :
	    p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (!n || (size_t)(end - text) < n)
		return 0;
	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* too long a form, a surrogate, beyond U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* One character between values, a whole sequence of UTF-8 within comments. */
static bool skip_char(struct hujson_cursor *ps)
{
	size_t n = utf8_length(ps->p, ps->end);

	if (!n)
		return hujson_fail(ps, ps->p, "the byte 0x%02x is not UTF-8",
				   (unsigned char)*ps->p);
	if (*ps->p == '\n') {
		ps->line++;
		ps->line_start = ps->p + 1;
	}
	ps->p += n;
	return true;
}

static bool skip_block_comment(struct hujson_cursor *ps)
{
	unsigned int line = ps->line;
	unsigned int column = (unsigned int)(ps->p - ps->line_start) + 1;

	for (ps->p += 2; ps->p < ps->end;) {
		if (ps->end - ps->p >= 2 && !memcmp(ps->p, "*/", 2)) {
			ps->p += 2;
			return true;
		}
		if (!skip_char(ps))
			return false;
	}
	hujson_fail(ps, ps->p, "this comment has no end, '*/' is expected");
	ps->err->line = line;
	ps->err->column = column;
	return false;
}

/* White space and comments. */
bool hujson_skip_space(struct hujson_cursor *ps)
{
	while (ps->p < ps->end) {
		if (memchr(" \t\r\n", *ps->p, 4)) {
			skip_char(ps);
		} else if (ps->end - ps->p >= 2 && !memcmp(ps->p, "//", 2)) {
			while (ps->p < ps->end && *ps->p != '\n')
				if (!skip_char(ps))
					return false;
		} else if (ps->end - ps->p >= 2 && !memcmp(ps->p, "/*", 2)) {
			if (!skip_block_comment(ps))
				return false;
		} else {
			return true;
		}
	}
	return true;
}

/* Four hexadecimal digits at @p. */
static bool hex4(const struct hujson_cursor *ps, const char *p, unsigned int *out)
{
	unsigned int i, v = 0;

	if (ps->end - p < 4)
		return false;
	for (i = 0; i < 4; i++) {
		char c = p[i];

		v = v << 4;
		if (c >= '0' && c <= '9')
			v |= (unsigned int)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v |= (unsigned int)((c | 32) - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

static char *put_utf8(char *out, unsigned int c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* A backslash and what belongs to it; what it means goes to *@out. */
static bool parse_escape(struct hujson_cursor *ps, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = ps->p, *known;
	unsigned int c, low;

	if (ps->end - at < 2)
		return hujson_fail(ps, at, "a backslash ends the file");
	known = at[1] ? strchr(from, at[1]) : NULL;
	if (known) {
		*(*out)++ = to[known - from];
		ps->p += 2;
		return true;
	}
	if (at[1] != 'u' || !hex4(ps, at + 2, &c))
		return hujson_fail(ps, at, "this escape is none that JSON knows");
	ps->p += 6;
	if (c >= 0xd800 && c <= 0xdfff) {
		if (c >= 0xdc00 || ps->end - ps->p < 6 ||
		    memcmp(ps->p, "\\u", 2) || !hex4(ps, ps->p + 2, &low) ||
		    low < 0xdc00 || low > 0xdfff)
			return hujson_fail(ps, at, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		ps->p += 6;
	}
	if (!c)
		return hujson_fail(ps, at, "a NUL is no part of any name");
	*out = put_utf8(*out, c);
	return true;
}

/* The string that begins at the quote at @p, malloced; NULL is an error. */
char *hujson_take_string(struct hujson_cursor *ps)
{
	const char *start = ps->p, *close;
	char *text, *out;
	size_t n;

	/* No escape is shorter than what it stands for. */
	for (close = start + 1; close < ps->end && *close != '"'; close++) {
		if (*close == '\n')
			break;
		if (*close == '\\' && close + 1 < ps->end)
			close++;
	}
	if (close >= ps->end || *close != '"') {
		hujson_fail(ps, start, "this string has no end, '\"' is expected");
		return NULL;
	}
	text = xmalloc((size_t)(close - start));
	out = text;
	for (ps->p++; ps->p < close;) {
		if (*ps->p == '\\') {
			if (!parse_escape(ps, &out))
				goto bad;
			continue;
		}
		if ((unsigned char)*ps->p < ' ') {
			hujson_fail(ps, ps->p,
				    "the byte 0x%02x in a string, an escape is expected",
				    (unsigned char)*ps->p);
			goto bad;
		}
		n = utf8_length(ps->p, close);
		if (!n) {
			hujson_fail(ps, ps->p, "the byte 0x%02x is not UTF-8",
				    (unsigned char)*ps->p);
			goto bad;
		}
		memcpy(out, ps->p, n);
		out += n;
		ps->p += n;
	}
	*out = '\0';
	ps->p = close + 1;
	return text;
bad:
	free(text);
	return NULL;
}

static size_t digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return (size_t)(p - start);
}

char *hujson_take_number(struct hujson_cursor *ps)
{
	const char *p = ps->p, *end = ps->end;
	size_t n;
	char *text;

	p += *p == '-';
	n = digits(p, end);
	if (!n || (*p == '0' && n > 1))
		goto bad;
	p += n;
	if (p < end && *p == '.') {
		n = digits(++p, end);
		if (!n)
			goto bad;
		p += n;
	}
	if (p < end && (*p | 32) == 'e') {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		n = digits(p, end);
		if (!n)
			goto bad;
		p += n;
	}
	n = (size_t)(p - ps->p);
	text = xmalloc(n + 1);
	memcpy(text, ps->p, n);
	text[n] = '\0';
	ps->p = p;
	return text;
bad:
	hujson_fail(ps, ps->p, "not a number as JSON writes them");
	return NULL;
}

bool hujson_take_word(struct hujson_cursor *ps, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(ps->end - ps->p) < n || memcmp(ps->p, word, n))
		return hujson_expected(ps, "a value");
	ps->p += n;
	return true;
}
