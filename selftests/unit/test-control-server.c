// SPDX-License-Identifier: GPL-2.0
/* Who answers at the other end: keys, upgrades, certificates. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>

#include "control-world.h"

#define SWITCHING                     \
	"HTTP/1.1 101 x\r\nUpgrade: " \
	"tailscale-control-protocol\r\n\r\n"
#define UPGRADE(w, text)                  \
	((w)->fake.upgrade_answer = text, \
	 (w)->fake.upgrade_answer_len = sizeof(text) - 1)

static void servers(void)
{
	struct world *w = world_new("k");
	struct key real = w->fake.published;

	w->fake.early = false;
	key_generate(&w->fake.private_key);
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "handshake")),
	       "a server without its published key: %s", w->error);
	key_public(&w->fake.published, &w->fake.private_key);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) &&
		       w->fake.key_fetches >= 2,
	       "the key is asked for again; no early payload");
	world_free(w);

	w = world_new("k");
	UPGRADE(w, "HTTP/1.1 200 OK\r\n\r\nhello, portal");
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "200, not an upgrade")),
	       "a captive portal: %s", w->error);
	UPGRADE(w, "SSH-2.0-x\r\n");
	tap_ok(UNTIL(w, has(w->error, "no HTTP")), "no HTTP: %s", w->error);
	UPGRADE(w, SWITCHING "\x03\0\6sorry!");
	tap_ok(UNTIL(w, has(w->error, "sorry!")), "an error frame: %s",
	       w->error);
	UPGRADE(w, SWITCHING "\x09\0\6sorry!");
	tap_ok(UNTIL(w, has(w->error, "does not speak")), "another frame: %s",
	       w->error);
	w->fake.upgrade_answer = NULL;
	memset(&w->fake.published, 0, sizeof(real));
	tap_ok(UNTIL(w, has(w->error, "too old")), "a zero server key: %s",
	       w->error);
	key_public(&w->fake.published, &w->fake.private_key);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING), "and then it works");
	world_free(w);
}

/* A certificate for @ip that signs itself, also written to @path. */
static SSL_CTX *certificate(const char *ip, const char *path)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	char san[64];
	X509_EXTENSION *e;
	FILE *f;

	snprintf(san, sizeof(san), "IP:%s", ip);
	X509_set_version(cert, 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(cert, key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, cert);
	SSL_CTX_use_PrivateKey(ctx, key);
	f = fopen(path, "w");
	PEM_write_X509(f, cert);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

static void over_tls(void)
{
	char path[] = "/tmp/tailrace-control-XXXXXX";
	int fd = mkstemp(path);
	SSL_CTX *good, *bad;
	struct world *w;

	close(fd);
	bad = certificate("192.0.2.1", path);
	w = world_make("k", bad, path);
	control_start(w->c);
	tap_ok(UNTIL(w, *w->error) && has(w->error, "mismatch") &&
		       !w->fake.key_fetches,
	       "a certificate for another name: %s", w->error);
	world_free(w);

	good = certificate("127.0.0.1", path);
	w = world_make("k", good, NULL);
	control_start(w->c);
	tap_ok(UNTIL(w, *w->error) && has(w->error, "TLS") &&
		       !w->fake.key_fetches,
	       "a certificate that nobody has signed: %s", w->error);
	world_free(w);

	w = world_make("k", good, path);
	control_start(w->c);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING),
	       "one of the extra roots, on the TLS port: nothing on port 80");
	/* Verification is for the key; what Noise proves needs none. */
	w->fake.tls = bad;
	control_link_changed(w->c);
	tap_ok(UNTIL(w, w->netmaps == 2) && w->fake.upgrades == 2 &&
		       w->fake.key_fetches == 1,
	       "TLS that is intercepted later does no harm to Noise");
	world_free(w);
	SSL_CTX_free(good);
	SSL_CTX_free(bad);
	unlink(path);
	w = xcalloc(1, sizeof(*w));
	w->base = event_base_new();
	tap_ok(!control_new(w->base, NULL,
			    &(struct control_config){.server_url = "https://h",
						     .ca_file = path},
			    &ops, w),
	       "a file of certificates that is not there");
	tap_ok(!control_new(w->base, NULL,
			    &(struct control_config){.server_url = "h"}, &ops,
			    w),
	       "a URL that is none");
	event_base_free(w->base);
	free(w);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the agent does */
	servers();
	over_tls();
	return tap_done();
}
