// SPDX-License-Identifier: GPL-2.0
/* Control's texts and framings: URLs, HTTP/1.1, c2n, register, map stream. */
#include <errno.h>
#include <json.h>
#include <string.h>
#include <zstd.h>

#include "control/c2n.h"
#include "control/https.h"
#include "control/map.h"
#include "control/noisedial.h"
#include "control/register.h"
#include "control/url.h"
#include "lib/json.h"
#include "lib/util.h"
#include "tap.h"

static void urls(void)
{
	static const struct {
		const char *text, *host, *path;
		unsigned int port;
		bool https, private;
	} good[] = {
		{"https://control.example", "control.example", "", 443, true,
		 false},
		{"HTTP://h:8080/a/b?c#d", "h", "/a/b?c", 8080, false, false},
		{"http://[::1]:80/", "::1", "/", 80, false, true},
		{"https://10.1.2.3?q", "10.1.2.3", "/?q", 443, true, true},
		{"http://localhost", "localhost", "", 80, false, true},
		{"http://203.0.113.1:1", "203.0.113.1", "", 1, false, false},
	};
	static const char *const bad[] = {
		"",
		"http://",
		"ftp://h",
		"https:/h",
		"https://h:0",
		"https://h:65536",
		"https://h:",
		"https://u@h/",
		"https://h/a b",
		"https://h/\n",
		"https://[::1",
		"https://[h]",
		"https://[1.2.3.4]",
		"https://[::1]x",
		"javascript:alert(1)",
		"https://h\xc3\xa9/",
		"https:///x",
	};
	char *longest = xmalloc(4000);
	struct url u;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		tap_ok(!url_parse(&u, good[i].text) &&
			       !strcmp(u.host, good[i].host) &&
			       !strcmp(u.path, good[i].path) &&
			       url_port(&u) == good[i].port &&
			       u.https == good[i].https &&
			       url_is_private(&u) == good[i].private,
		       "URL %s", good[i].text);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(url_parse(&u, bad[i]) < 0, "no URL: case %zu", i);
	memset(longest, 'a', 3999);
	longest[3999] = '\0';
	memcpy(longest, "https://", 8);
	tap_ok(url_parse(&u, longest) < 0, "a host too long");
	memcpy(longest, "https://h/", 10);
	tap_ok(url_parse(&u, longest) < 0, "a path too long");
	free(longest);
}

static void ports(void)
{
	static const struct {
		const char *text;
		uint16_t plain, tls;
	} rows[] = {
		{"https://h.example", 80, 443},
		{"http://h.example", 80, 443},
		{"https://h.example:8443", 80, 8443},
		{"http://h.example:8080", 8080, 443},
		{"http://127.0.0.1:8080", 8080, 0},
		{"http://192.168.1.1", 80, 0},
		{"http://localhost:3", 3, 0},
		{"https://127.0.0.1", 80, 443},
	};
	uint16_t plain, tls;
	struct url u;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		url_parse(&u, rows[i].text);
		noise_dial_ports(&u, &plain, &tls);
		tap_ok(plain == rows[i].plain && tls == rows[i].tls,
		       "ports of %s", rows[i].text);
	}
}

/* @want NULL: the negative number @code. */
static void response(const char *what, const char *text, bool eof,
		     const char *want, ssize_t code)
{
	uint8_t *copy = (uint8_t *)xstrdup(text), *body = NULL;
	int status = 0;
	ssize_t n = http_response(copy, strlen(text), eof, &status, &body);

	if (want)
		tap_ok(n == (ssize_t)strlen(want) &&
			       !memcmp(body, want, strlen(want)),
		       "%s", what);
	else
		tap_ok(n == code, "%s (%zd)", what, n);
	free(copy);
}

static void responses(void)
{
#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "transfer-encoding: chunked\r\n\r\n"
	static const char chunks[] = CHUNKED "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n"
					     "Trailer: 1\r\n\r\n";
	char *copy = xstrdup(chunks), header[8];
	size_t i, early = 0;

	response("Content-Length", OK "Content-Length: 2\r\n\r\nabc", false,
		 "ab", 0);
	response("the rest of it is to come", OK "Content-Length: 4\r\n\r\nabc",
		 false, NULL, -EAGAIN);
	response("the rest of it never came", OK "Content-Length: 4\r\n\r\nabc",
		 true, NULL, -EBADMSG);
	response("too long", OK "Content-Length: 70000\r\n\r\n", false, NULL,
		 -EMSGSIZE);
	response("a length that is none", OK "Content-Length: -1\r\n\r\n",
		 false, NULL, -EBADMSG);
	response("until the end", OK "\r\nabc", true, "abc", 0);
	response("until the end, which is to come", OK "\r\nabc", false, NULL,
		 -EAGAIN);
	response("chunks", chunks, false, "abcde", 0);
	response("a chunk without end", CHUNKED "3\r\nabcd\r\n", false, NULL,
		 -EBADMSG);
	response("a chunk too long", CHUNKED "ffffff\r\n", false, NULL,
		 -EMSGSIZE);
	response("a chunk longer than any number", CHUNKED "fffffff\r\n", false,
		 NULL, -EMSGSIZE);
	response("a chunk without size", CHUNKED "\r\n", false, NULL, -EBADMSG);
	response("another coding", OK "Transfer-Encoding: gzip\r\n\r\n", true,
		 NULL, -EBADMSG);
	response("no HTTP", "SSH-2.0-x\r\n\r\n", false, NULL, -EBADMSG);
	for (i = 0; i < strlen(OK) + 30; i++) {
		uint8_t *body;
		int status;

		early += http_response((uint8_t *)copy, i, false, &status,
				       &body) != -EAGAIN;
	}
	tap_ok(!early, "no truncated head is taken for an answer");
	free(copy);
	tap_ok(http_header((const uint8_t *)"X: 1\r\nupGrade:  a b \r\n\r\n",
			   26, "Upgrade", header, sizeof(header)) == 3 &&
		       !strcmp(header, "a b"),
	       "a header in any case, without blanks around");
	tap_ok(http_header((const uint8_t *)"Upgrade: 12345678\r\n\r\n", 21,
			   "Upgrade", header, sizeof(header)) == -EMSGSIZE,
	       "a header too long for us");
}

static void c2n(const char *what, const char *request, const char *want)
{
	size_t n = 0;
	uint8_t *out =
		c2n_answer((const uint8_t *)request, strlen(request), &n);

	tap_ok(want ? out && n == strlen(want) && !memcmp(out, want, n) : !out,
	       "c2n: %s", what);
	free(out);
}

static void c2n_all(void)
{
#define ANSWER(status, n, body) \
	"HTTP/1.1 " status      \
	"\r\nContent-Type: text/plain\r\nContent-Length: " n "\r\n\r\n" body
	c2n("echo", "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
	    ANSWER("200 OK", "2", "hi"));
	c2n("echo with a query, nothing to say", "GET /echo?x HTTP/1.0\r\n\r\n",
	    ANSWER("200 OK", "0", ""));
	c2n("no more than was announced",
	    "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nhi",
	    ANSWER("200 OK", "1", "h"));
	c2n("an unknown path", "GET /echoes HTTP/1.1\r\n\r\n",
	    ANSWER("400 Bad Request", "17", "unknown c2n path\n"));
	c2n("no request", "hello\r\n\r\n", NULL);
	c2n("no end", "GET /echo HTTP/1.1\r\n", NULL);
}

static void registers(void)
{
	struct control_self self = {.hostname = (char *)"box",
				    .mapping_varies = -1};
	struct key node = {{1}}, zero = {{0}};
	struct register_request req = {.node_public = &node,
				       .old_node_public = &zero,
				       .followup = "",
				       .auth_key = "tskey-1--TLsecret-x",
				       .self = &self};
	struct register_response r;
	const char *why;
	char *body;
	size_t i;
	static const char *const bad[] = {
		"",
		"[]",
		"{\"Error\":1}",
		"{\"AuthURL\":\"file:///etc\"}",
		"{\"NodeKeyExpired\":\"x\"}",
	};

	body = register_encode(&req);
	tap_ok(strstr(body, "\"AuthKey\":\"tskey-1\"") &&
		       !strstr(body, "secret"),
	       "the lock part of an auth key stays here");
	tap_ok(strstr(body, "\"Expiry\":\"0001-01-01T00:00:00Z\"") &&
		       strstr(body, "\"Followup\":\"\"") &&
		       strstr(body, "\"NodeKeySignature\":null") &&
		       strstr(body, "\"NLKey\":\"nlpub:00") &&
		       strstr(body, "\"Hostname\":\"box\""),
	       "what is always sent");
	free(body);
	req.auth_key = NULL;
	req.logout = true;
	body = register_encode(&req);
	tap_ok(strstr(body, "\"Expiry\":\"1970-01-01T00:02:03Z\"") &&
		       !strstr(body, "\"Auth\""),
	       "logging out is an expiry in the past");
	free(body);

	tap_ok(!register_decode(&r, "{\"Login\":{},\"AuthURL\":null}", 27,
				&why) &&
		       !*r.error && !*r.auth_url && !r.machine_authorized,
	       "an answer with little in it");
	register_response_clear(&r);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		tap_ok(register_decode(&r, bad[i], strlen(bad[i]), &why) ==
			       -EPROTO,
		       "no answer: %s", bad[i]);
		register_response_clear(&r);
	}
}

/* What the reader gave out: the texts, each followed by a newline. */
struct seen {
	char text[512];
	bool stop;
};

static bool on_message(void *ctx, struct json_object *msg)
{
	struct seen *s = ctx;

	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text),
		 "%s\n",
		 json_object_to_json_string_ext(msg, JSON_C_TO_STRING_PLAIN));
	return !s->stop;
}

static size_t frame(uint8_t *out, const void *data, size_t n)
{
	out[0] = (uint8_t)n;
	out[1] = (uint8_t)(n >> 8);
	out[2] = (uint8_t)(n >> 16);
	out[3] = (uint8_t)(n >> 24);
	memcpy(out + 4, data, n);
	return n + 4;
}

static size_t zstd_frame(uint8_t *out, const char *text)
{
	uint8_t packed[256];
	size_t n = ZSTD_compress(packed, sizeof(packed), text, strlen(text), 3);

	return frame(out, packed, n);
}

static ssize_t read_all(const uint8_t *in, size_t n, size_t step,
			struct seen *s, const char **why)
{
	struct map_reader *r = map_reader_new(on_message, s);
	ssize_t taken = 0;
	size_t i;

	for (i = 0; i < n && taken >= 0; i += step)
		taken = map_reader_feed(r, in + i, n - i < step ? n - i : step,
					why);
	map_reader_free(r);
	return taken;
}

static void refused(const char *what, const uint8_t *in, size_t n, int error)
{
	struct seen s = {0};
	const char *why = "";
	ssize_t whole = read_all(in, n, n, &s, &why);
	ssize_t cut = read_all(in, n, 1, &s, &why);

	tap_ok(whole == error && cut == error && *why, "%s: %s", what, why);
}

static void map_stream(void)
{
	static const char want[] =
		"{\"a\":1}\n{\"KeepAlive\":true}\n[2]\n"
		"{\"\u00e9\":\"\u20ac\U0001f512\"}\n"
		"{\"\u00e9\":\"\u20ac\U0001f512\"}\n";
	static const char lock[] = "{\"\u00e9\":\"\u20ac\U0001f512\"}";
	size_t n = 0, i, big = 80u << 20, packed;
	uint8_t in[512], *bomb;
	struct map_reader *r;
	const char *why = "";
	struct seen s;
	char *spaces;
	bool same = true;

	n += zstd_frame(in + n, "{\"a\":1}");
	n += frame(in + n, " {\"KeepAlive\" : true}\n", 22);
	n += zstd_frame(in + n, "[2]");
	n += frame(in + n, lock, strlen(lock));
	n += zstd_frame(in + n, lock);
	for (i = 1; i <= n; i++) {
		memset(&s, 0, sizeof(s));
		same &= read_all(in, n, i, &s, &why) > 0 &&
			!strcmp(s.text, want);
	}
	tap_ok(same, "zstd and plain messages, cut in every way");

	memset(&s, 0, sizeof(s));
	s.stop = true;
	r = map_reader_new(on_message, &s);
	i = (size_t)map_reader_feed(r, in, n, &why);
	tap_ok(i < n && !strcmp(s.text, "{\"a\":1}\n"),
	       "a message can stop the reader");
	s.stop = false;
	map_reader_feed(r, in + i, n - i, &why);
	tap_ok(!strcmp(s.text, want), "which goes on where it was");
	map_reader_free(r);

	refused("size 0", in, frame(in, "", 0), -EPROTO);
	memcpy(in, "\xff\xff\xff\x7f", 4);
	refused("an endless message", in, 4, -EMSGSIZE);
	memcpy(in, "\x00\x00\x00\x10", 4);
	refused("a length in the other byte order", in, 4, -EMSGSIZE);
	refused("garbage", in, frame(in, "\x99garbage", 8), -EPROTO);
	refused("half an object", in, frame(in, "{\"a\":", 5), -EPROTO);
	refused("an object and a half", in, frame(in, "{}{", 3), -EPROTO);
	refused("half a character", in, frame(in, "{\"a\":1}\xc3", 8), -EPROTO);
	refused("no character", in, frame(in, "[\"\xc3\xc3\"]", 6), -EPROTO);
	refused("first bytes only", in,
		frame(in, "[\"\xf0\xc3\xc3\xc3\xc3\xc3\xc3\"]", 11), -EPROTO);
	refused("a zero byte", in, frame(in, "{\"a\":1}\0", 8), -EPROTO);
	n = zstd_frame(in, "{\"a\":1}");
	in[0]--;
	refused("a zstd frame cut short", in, n - 1, -EPROTO);
	n = zstd_frame(in, "{\"a\":1}");
	in[0]++;
	in[n] = 0;
	refused("a byte behind a zstd frame", in, n + 1, -EPROTO);
	refused("a zstd frame of half an object", in, zstd_frame(in, "{\"a\":"),
		-EPROTO);

	spaces = xmalloc(big);
	memset(spaces, ' ', big);
	bomb = xmalloc(ZSTD_compressBound(big) + 4);
	packed = ZSTD_compress(bomb + 4, ZSTD_compressBound(big), spaces, big,
			       1);
	memmove(spaces, bomb + 4, packed);
	n = frame(bomb, spaces, packed);
	memset(&s, 0, sizeof(s));
	tap_ok(read_all(bomb, n, n, &s, &why) == -EMSGSIZE,
	       "80 MiB out of %zu bytes are refused", packed);
	free(bomb);
	free(spaces);
}

static void map_requests(void)
{
	struct endpoint ep = {.ip = {.family = 4, .b = {192, 0, 2, 7}},
			      .port = 41641};
	uint8_t type = 2;
	struct control_self self = {.hostname = (char *)"box",
				    .endpoints = &ep,
				    .endpoint_types = &type,
				    .n_endpoints = 1,
				    .preferred_derp = 7,
				    .mapping_varies = 0,
				    .working_ipv6 = -1,
				    .n_derp_latency = 1,
				    .derp_latency[0] = {"7-v4", 0.5}};
	struct key node = {{1}};
	char *a = map_encode(MAP_STREAM, &node, &self);
	char *b = map_encode(MAP_UPDATE, &node, &self), *c;
	static const char *const both[] = {
		"\"Version\":116",
		"\"DiscoKey\":\"discokey:00",
		"\"Endpoints\":[\"192.0.2.7:41641\"],\"EndpointTypes\":[2]",
		"\"Hostname\":\"box\"",
		"\"PreferredDERP\":7",
		"\"MappingVariesByDestIP\":false",
		"\"DERPLatency\":{\"7-v4\":",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(both); i++)
		tap_ok(strstr(a, both[i]) && strstr(b, both[i]),
		       "both kinds of request hold %s", both[i]);
	tap_ok(strstr(a, "\"Stream\":true") && !strstr(a, "OmitPeers") &&
		       strstr(b, "\"OmitPeers\":true") && !strstr(b, "Stream"),
	       "and are told apart by Stream and OmitPeers");
	tap_ok(!strstr(a, "WorkingIPv6"), "what is unknown is left out");
	free(a);
	a = map_encode(MAP_COMPARE, &node, &self);
	self.derp_latency[0].seconds = 0.7;
	c = map_encode(MAP_COMPARE, &node, &self);
	tap_ok(!strcmp(a, c), "latencies alone are no change");
	free(c);
	self.preferred_derp = 8;
	c = map_encode(MAP_COMPARE, &node, &self);
	tap_ok(strcmp(a, c), "another home region is");
	free(a);
	free(b);
	free(c);
}

int main(void)
{
	urls();
	ports();
	responses();
	c2n_all();
	registers();
	map_stream();
	map_requests();
	return tap_done();
}
