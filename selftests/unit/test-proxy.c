// SPDX-License-Identifier: GPL-2.0
#include "lib/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static const struct {
	const char *url, *no_proxy, *host;
	uint16_t port;
	int ret;
	const char *proxy_host;
	uint16_t proxy_port;
	const char *auth;
	bool tls;
} cases[] = {
	{ NULL, NULL, "a.example", 443, 0, "", 0, "", false },
	{ "", NULL, "a.example", 443, 0, "", 0, "", false },
	{ "http://p:3128", NULL, "a.example", 443, 1, "p", 3128, "", false },
	{ "p:3128", NULL, "a.example", 443, 1, "p", 3128, "", false },
	{ "http://p", NULL, "a.example", 443, 1, "p", 80, "", false },
	{ "https://p/", NULL, "a.example", 443, 1, "p", 443, "", true },
	{ "http://[fd00::1]:8080/", NULL, "a.example", 443, 1, "fd00::1", 8080,
	  "", false },
	{ "http://Aladdin:open%20sesame@p:1", NULL, "a.example", 443, 1, "p", 1,
	  "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", false },
	{ "http://u:p@ss@p:1", NULL, "a.example", 443, 1, "p", 1,
	  "dTpwQHNz", false },
	{ "http://u:%zz@p:1", NULL, "a.example", 443, -EINVAL, "", 0, "",
	  false },
	{ "http://p:0", NULL, "a.example", 443, -EINVAL, "", 0, "", false },
	{ "http://p:65536", NULL, "a.example", 443, -EINVAL, "", 0, "", false },
	{ "http://:80", NULL, "a.example", 443, -EINVAL, "", 0, "", false },
	{ "socks5://p:1", NULL, "a.example", 443, -EPROTONOSUPPORT, "", 0, "",
	  false },
	{ "http://p:1", NULL, "localhost", 443, 0, "", 0, "", false },
	{ "http://p:1", NULL, "127.0.0.5", 443, 0, "", 0, "", false },
	{ "http://p:1", NULL, "::1", 443, 0, "", 0, "", false },
	{ "http://p:1", "*", "a.example", 443, 0, "", 0, "", false },
	{ "http://p:1", "b.example, example", "a.example", 443, 0, "", 0, "",
	  false },
	{ "http://p:1", "A.Example", "a.example", 443, 0, "", 0, "", false },
	{ "http://p:1", ".a.example", "a.example", 443, 1, "p", 1, "", false },
	{ "http://p:1", ".example", "a.example", 443, 0, "", 0, "", false },
	{ "http://p:1", "*.example", "a.example", 443, 0, "", 0, "", false },
	{ "http://p:1", "xample", "a.example", 443, 1, "p", 1, "", false },
	{ "http://p:1", "a.example:80", "a.example", 443, 1, "p", 1, "",
	  false },
	{ "http://p:1", "a.example:443", "a.example", 443, 0, "", 0, "",
	  false },
	{ "http://p:1", "10.0.0.0/8", "10.1.2.3", 443, 0, "", 0, "", false },
	{ "http://p:1", "10.0.0.0/8", "11.1.2.3", 443, 1, "p", 1, "", false },
	{ "http://p:1", "fd00::/8", "fd00::5", 443, 0, "", 0, "", false },
	{ "http://p:1", "192.0.2.1:443", "192.0.2.1", 443, 0, "", 0, "",
	  false },
};

int main(void)
{
	struct proxy p;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret = proxy_select(&p, cases[i].url, cases[i].no_proxy,
				       cases[i].host, cases[i].port);

		tap_ok(ret == cases[i].ret &&
			       (ret != 1 ||
				(!strcmp(p.host, cases[i].proxy_host) &&
				 p.port == cases[i].proxy_port &&
				 !strcmp(p.auth, cases[i].auth) &&
				 p.tls == cases[i].tls)),
		       "%s for %s:%u, no_proxy %s: %d",
		       cases[i].url ? cases[i].url : "(unset)", cases[i].host,
		       cases[i].port,
		       cases[i].no_proxy ? cases[i].no_proxy : "(unset)", ret);
	}

	setenv("HTTPS_PROXY", "http://upper:1", 1);
	setenv("https_proxy", "http://lower:1", 1);
	setenv("HTTP_PROXY", "http://plain:1", 1);
	tap_ok(proxy_from_env(&p, "a.example", 443, true) == 1 &&
		       !strcmp(p.host, "lower"),
	       "the lower-case variable wins");
	tap_ok(proxy_from_env(&p, "a.example", 80, false) == 1 &&
		       !strcmp(p.host, "plain"),
	       "http has its own variable");
	setenv("no_proxy", "a.example", 1);
	tap_ok(proxy_from_env(&p, "a.example", 443, true) == 0,
	       "no_proxy from the environment");
	return tap_done();
}
