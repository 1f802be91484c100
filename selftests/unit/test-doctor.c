// SPDX-License-Identifier: GPL-2.0
/* Every check of the doctor on hosts that are made up. */
#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/doctor.h"
#include "lib/util.h"
#include "tap.h"
#include "version.h"

#define KERNEL "6.1.0-99-amd64"
#define MODULES "/lib/modules/" KERNEL

static char root[] = "/tmp/tailrace-doctor-XXXXXX";
static struct doctor host;

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd))
		tap_ok(false, "%s", cmd);
}

static void put_bytes(const char *path, const void *data, size_t n)
{
	char full[512];
	FILE *f;

	shell("mkdir -p \"$(dirname %s%s)\"", root, path);
	snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "w");
	fwrite(data, 1, n, f);
	fclose(f);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

/* A host with nothing at all. */
static void bare(void)
{
	json_object_put(host.status);
	json_object_put(host.prefs);
	json_object_put(host.devices);
	json_object_put(host.ruleset);
	host = (struct doctor){ .root = root, .release = KERNEL,
				.now = 1800000000, .clock_synced = 1 };
	shell("rm -rf %s; mkdir -p %s", root, root);
}

static const struct doctor_check *find(const char *name)
{
	static const struct doctor_check *const tables[] = {
		doctor_module_checks, doctor_host_checks,
		doctor_network_checks
	};
	const struct doctor_check *c;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tables); i++)
		for (c = tables[i]; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	return NULL;
}

/* What the check @name says is of @level and has @text in it. */
static void says(const char *name, enum doctor_level level, const char *text)
{
	static const char *const names[] = { "nothing", "ok", "warning",
					     "fault" };
	const struct doctor_check *c = find(name);
	struct doctor_result r = { 0 };

	if (c)
		c->run(&host, &r);
	if (!tap_ok(c && r.level == level && strstr(r.text, text),
		    "%s: %s, %s", name, names[level], text))
		printf("# %s: %s\n", names[r.level], r.text);
}

static void kernels(void)
{
	static const struct {
		const char *release;
		enum doctor_level level;
	} cases[] = {
		{ "5.4.0-1", DOCTOR_FAULT },   { "5.10.0-28-amd64", DOCTOR_OK },
		{ "6.1.0-99", DOCTOR_OK },     { "7.0.0-1", DOCTOR_WARNING },
		{ "7.0.12", DOCTOR_WARNING },  { "7.1.4-1", DOCTOR_WARNING },
		{ "7.1.5", DOCTOR_OK },	       { "7.10.1", DOCTOR_OK },
		{ "8.0.0", DOCTOR_OK },	       { "4.19", DOCTOR_FAULT },
		{ "strange", DOCTOR_WARNING },
	};
	size_t i;

	bare();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		host.release = cases[i].release;
		says("kernel", cases[i].level, cases[i].release);
	}
	bare();
	says("features", DOCTOR_NONE, "");
	put("/boot/config-" KERNEL, "\nCONFIG_NETFILTER_INGRESS=y\n"
				    "CONFIG_NETFILTER_EGRESS=y\n");
	says("features", DOCTOR_OK, "ingress hook, egress hook");
	put("/boot/config-" KERNEL, "\nCONFIG_NETFILTER_INGRESS=y\n"
				    "# CONFIG_NETFILTER_EGRESS is not set\n");
	says("features", DOCTOR_OK, "POST_ROUTING");
	put("/boot/config-" KERNEL, "\n");
	says("features", DOCTOR_FAULT, "CONFIG_NETFILTER_INGRESS");
}

static void wireguard(void)
{
	bare();
	says("wireguard", DOCTOR_FAULT, "no WireGuard");
	put(MODULES "/modules.dep",
	    "kernel/drivers/net/wireguard/wireguard.ko: kernel/x.ko\n");
	says("wireguard", DOCTOR_OK, "has wireguard");
	put(MODULES "/modules.dep",
	    "kernel/x.ko: kernel/drivers/net/wireguard/wireguard.ko\n");
	says("wireguard", DOCTOR_FAULT, "no WireGuard");
	put(MODULES "/modules.builtin",
	    "kernel/drivers/net/wireguard/wireguard.ko\n");
	says("wireguard", DOCTOR_OK, "has wireguard");
	put("/sys/module/wireguard/refcnt", "0\n");
	says("wireguard", DOCTOR_OK, "is loaded");
}

static void module(void)
{
	static const char ko[] = "ELF\0xsrcversion=no\0srcversion=ABC\0"
				 "version=0\0srcversionX=1";

	bare();
	says("module", DOCTOR_FAULT, "dkms autoinstall -k " KERNEL);
	says("version", DOCTOR_NONE, "");
	put(MODULES "/modules.dep", "updates/dkms/tailrace.ko:\n");
	put_bytes(MODULES "/updates/dkms/tailrace.ko", ko, sizeof(ko));
	says("module", DOCTOR_WARNING, "modprobe tailrace");
	put("/sys/module/tailrace/version", "0.0.1\n");
	put("/sys/module/tailrace/srcversion", "ABC\n");
	says("module", DOCTOR_OK, "is loaded");
	says("version", DOCTOR_WARNING, "0.0.1 is loaded");
	put("/sys/module/tailrace/version", TAILRACE_VERSION "\n");
	says("version", DOCTOR_OK, TAILRACE_VERSION);
	put("/sys/module/tailrace/srcversion", "DEF\n");
	says("version", DOCTOR_WARNING, "at the next load");

	tap_ok(!strcmp(doctor_modinfo(ko, sizeof(ko), "srcversion"), "ABC") &&
		       !doctor_modinfo(ko, sizeof(ko), "signer") &&
		       !doctor_modinfo(ko, sizeof(ko) - 3, "srcversionX"),
	       "modinfo");
}

static void dkms(void)
{
	bare();
	says("dkms", DOCTOR_WARNING, "DKMS does not know tailrace");
	shell("mkdir -p %s/var/lib/dkms/tailrace", root);
	put(MODULES "/kernel/x", "");
	put(MODULES "/modules.dep", "kernel/x.ko:\n");
	says("dkms", DOCTOR_FAULT, "install linux-headers-" KERNEL);
	put(MODULES "/build/Makefile", "");
	says("dkms", DOCTOR_FAULT, "dkms autoinstall -k " KERNEL);
	put(MODULES "/modules.dep", "updates/dkms/tailrace.ko.xz:\n");
	says("dkms", DOCTOR_OK, "the one kernel");
	put("/lib/modules/6.12/kernel/x", "");
	says("dkms", DOCTOR_WARNING, "install linux-headers-6.12");
	put("/lib/modules/6.12/modules.dep",
	    "/lib/modules/6.12/extra/tailrace.ko:\n");
	says("dkms", DOCTOR_OK, "each kernel");
	put("/lib/modules/leftover/modules.dep", "");
	says("dkms", DOCTOR_OK, "each kernel");
}

/* A module signed by "A key", as scripts/sign-file would. */
static char *signed_module(size_t *n)
{
	static const char text[] = "ELF module";
	EVP_PKEY *key = EVP_RSA_gen(2048);
	X509 *cert = X509_new();
	BIO *data = BIO_new_mem_buf(text, sizeof(text));
	unsigned char *der = NULL;
	uint8_t trailer[12] = { 0 };
	PKCS7 *p7;
	char *ko;
	int len;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
				   MBSTRING_ASC,
				   (const unsigned char *)"A key", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_sign(cert, key, EVP_sha256());
	p7 = PKCS7_sign(cert, key, NULL, data,
			PKCS7_BINARY | PKCS7_DETACHED | PKCS7_NOCERTS);
	len = i2d_PKCS7(p7, &der);
	*n = sizeof(text) + (size_t)len + sizeof(trailer) + 28;
	ko = xmalloc(*n);
	memcpy(ko, text, sizeof(text));
	memcpy(ko + sizeof(text), der, (size_t)len);
	put_be32(trailer + 8, (uint32_t)len);
	memcpy(ko + sizeof(text) + len, trailer, sizeof(trailer));
	memcpy(ko + *n - 28, "~Module signature appended~\n", 28);
	OPENSSL_free(der);
	PKCS7_free(p7);
	BIO_free(data);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ko;
}

static void signature(void)
{
	static const char efi[] =
		"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
	static const char ko[] = MODULES "/updates/dkms/tailrace.ko";
	unsigned int read = 0;
	size_t n, i;
	char *good, name[128];

	bare();
	says("signature", DOCTOR_OK, "without a signature");
	put_bytes(efi, "\6\0\0\0\0", 5);
	says("signature", DOCTOR_OK, "without a signature");
	put_bytes(efi, "\6\0\0\0\1", 5);
	says("signature", DOCTOR_NONE, "");
	put(MODULES "/modules.dep", "updates/dkms/tailrace.ko:\n");
	put(ko, "ELF, and that is all of it.............................");
	says("signature", DOCTOR_FAULT, "Secure Boot is on and tailrace.ko has no");
	good = signed_module(&n);
	put_bytes(ko, good, n);
	says("signature", DOCTOR_WARNING, "signed by 'A key', and only root");
	put("/proc/keys", "1 I------ 1 perm 1f0 0 0 asymmetri Other: X509.rsa\n");
	says("signature", DOCTOR_FAULT, "does not know the key of 'A key'");
	put("/proc/keys", "1 I------ 1 perm 1f0 0 0 asymmetri A key: X509.rsa\n");
	says("signature", DOCTOR_OK, "signed by 'A key'");
	put_bytes(efi, "\6\0\0\0\0", 5);
	put("/sys/module/module/parameters/sig_enforce", "Y\n");
	says("signature", DOCTOR_OK, "module.sig_enforce is on");
	put("/sys/module/module/parameters/sig_enforce", "N\n");
	put("/sys/kernel/security/lockdown", "none [integrity] confidentiality");
	says("signature", DOCTOR_OK, "kernel lockdown is on");
	put_bytes(ko, "\xfd" "7zXZ\0zzzz", 10);
	says("signature", DOCTOR_WARNING, "compressed");
	put("/sys/module/tailrace/refcnt", "0\n");
	says("signature", DOCTOR_OK, "took tailrace.ko");
	put("/sys/kernel/security/lockdown", "[none] integrity confidentiality");
	says("signature", DOCTOR_OK, "without a signature");

	/* Whatever the end of a file is. */
	for (i = 0; i < n; i++) {
		char *cut = xmalloc(n - i);

		memcpy(cut, good + i, n - i);
		read += doctor_signer(cut, n - i, name) &&
			!strcmp(name, "A key");
		free(cut);
	}
	tap_ok(read == strlen("ELF module") + 2,
	       "a cut signature names nobody (%u)", read);
	free(good);
}

static void state(void)
{
	bare();
	says("state", DOCTOR_NONE, "");
	says("flows", DOCTOR_NONE, "");
	put("/sys/module/tailrace/refcnt", "0\n");
	host.module_problem = "only root may ask tailrace.ko: use sudo";
	says("state", DOCTOR_WARNING, "only root");
	host.devices = json_tokener_parse(
		"{\"t0\":{\"state\":\"active\",\"generation\":3,\"flows\":3687,"
		"\"flows_max\":4096}}");
	says("state", DOCTOR_OK, "t0 is active, policy 3");
	says("flows", DOCTOR_WARNING, "--flow-table=8192");
	json_object_put(host.devices);
	host.devices = json_tokener_parse(
		"{\"t0\":{\"state\":\"orphaned\",\"stale\":61,\"flows\":3,"
		"\"flows_max\":4096},\"t1\":{\"state\":\"active\"}}");
	says("state", DOCTOR_WARNING, "t0 is orphaned for 1m1s");
	says("flows", DOCTOR_OK, "t0 has 3 of 4096");
	json_object_put(host.devices);
	host.devices = json_tokener_parse(
		"{\"t0\":{\"state\":\"orphaned\"},\"t1\":{\"state\":\"expired\"},"
		"\"t2\":{\"state\":\"closed\"}}");
	says("state", DOCTOR_FAULT, "nothing passes: systemctl start");
	says("state", DOCTOR_FAULT, "t2 is closed");
}

static void process(int pid, const char *name, const char *uid,
		    const char *caps, const char *seccomp)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	snprintf(text, sizeof(text),
		 "Name:\t%s\nState:\tS\nUid:\t%s\t%s\t%s\t%s\nCapEff:\t%s\n"
		 "Seccomp:\t%s\n",
		 name, uid, uid, uid, uid, caps, seccomp);
	put(path, text);
}

static void processes(void)
{
	bare();
	says("processes", DOCTOR_FAULT, "is not running");
	process(7, "tailraced", "107", "0000000000001000", "2");
	says("processes", DOCTOR_FAULT, "is not running");
	process(8, "tailraced-eng", "107", "0000000000000000", "2");
	process(9, "tailracedx", "0", "000001ffffffffff", "0");
	put("/proc/self/status", "Name:\ttailraced\n");
	says("processes", DOCTOR_OK, "CAP_NET_ADMIN alone");
	process(8, "tailraced-eng", "107", "0000000000000001", "2");
	says("processes", DOCTOR_WARNING, "engine process has capabilities");
	process(8, "tailraced-eng", "0", "0000000000000000", "2");
	says("processes", DOCTOR_WARNING, "engine process runs as root");
	process(8, "tailraced-eng", "107", "0000000000000000", "0");
	says("processes", DOCTOR_WARNING, "no system call filter");
	process(8, "tailraced-eng", "107", "0000000000000000", "2");
	process(7, "tailraced", "107", "0000000000003000", "2");
	says("processes", DOCTOR_WARNING, "kernel process has capabilities");
	process(7, "tailraced", "107", "0000000000000000", "2");
	says("processes", DOCTOR_FAULT, "no CAP_NET_ADMIN");
}

static void agent(void)
{
	bare();
	says("agent", DOCTOR_FAULT, "does not answer");
	host.status = json_tokener_parse(
		"{\"BackendState\":\"Running\",\"Health\":[]}");
	says("agent", DOCTOR_OK, "running");
	json_object_put(host.status);
	host.status = json_tokener_parse(
		"{\"BackendState\":\"Running\",\"Health\":[\"a\",\"b\"]}");
	says("agent", DOCTOR_WARNING, "a; b");
	json_object_put(host.status);
	host.status = json_tokener_parse(
		"{\"BackendState\":\"Running\",\"Version\":\"0.0.9\"}");
	says("agent", DOCTOR_WARNING, "tailraced 0.0.9 is running");
	json_object_put(host.status);
	host.status = json_tokener_parse("{\"BackendState\":\"Stopped\",\"Version\":\""
					 TAILRACE_VERSION "\"}");
	says("agent", DOCTOR_WARNING, "Stopped: run 'tailrace up'");
}

static void unit(void)
{
	bare();
	says("unit", DOCTOR_NONE, "");
	put("/run/systemd/system/x", "");
	says("unit", DOCTOR_WARNING, "make install");
	put("/usr/lib/systemd/system/tailraced.service", "");
	says("unit", DOCTOR_WARNING, "systemctl enable tailraced");
	shell("mkdir -p %s/etc/systemd/system/multi-user.target.wants; "
	      "ln -s /none %s/etc/systemd/system/multi-user.target.wants/tailraced.service",
	      root, root);
	says("unit", DOCTOR_WARNING, "systemctl start tailraced");
	put("/sys/fs/cgroup/system.slice/tailraced.service/cgroup.procs", "");
	says("unit", DOCTOR_OK, "enabled and active");

	says("user", DOCTOR_WARNING, "no user tailrace");
	put("/etc/passwd", "root:x:0:0\nnottailrace:x:1:1\n");
	says("user", DOCTOR_WARNING, "no user tailrace");
	put("/etc/passwd", "root:x:0:0\ntailrace:x:1:1\n");
	says("user", DOCTOR_OK, "user tailrace");
}

static void directory(void)
{
	bare();
	says("directory", DOCTOR_WARNING, "systemd-tmpfiles");
	put("/var/lib/tailrace/tailrace.state", "{}");
	shell("chmod 700 %s/var/lib/tailrace; chmod 600 %s/var/lib/tailrace/*",
	      root, root);
	says("directory", DOCTOR_OK, "for the agent alone");
	put("/var/lib/tailrace/tailrace.state.damaged-1", "x");
	says("directory", DOCTOR_WARNING, "tailrace.state.damaged-1 was set aside");
	shell("chmod 644 %s/var/lib/tailrace/tailrace.state", root);
	says("directory", DOCTOR_FAULT, "others can read the keys");
	shell("chmod 755 %s/var/lib/tailrace", root);
	says("directory", DOCTOR_FAULT, "chmod 700");
}

static void clocks(void)
{
	bare();
	says("clock", DOCTOR_OK, "synchronized");
	host.clock_synced = -1;
	says("clock", DOCTOR_OK, "plausible");
	host.clock_synced = 0;
	says("clock", DOCTOR_WARNING, "nobody keeps the clock");
	host.now = 1000;
	says("clock", DOCTOR_FAULT, "the clock is wrong");
}

static void forwarding(void)
{
	bare();
	says("forwarding", DOCTOR_NONE, "");
	host.prefs = json_tokener_parse(
		"{\"AdvertiseRoutes\":[\"10.0.0.0/8\",\"fd00::/8\"]}");
	says("forwarding", DOCTOR_FAULT, "net.ipv4.ip_forward=1");
	put("/proc/sys/net/ipv4/ip_forward", "1\n");
	says("forwarding", DOCTOR_FAULT, "net.ipv6.conf.all.forwarding=1");
	put("/proc/sys/net/ipv6/conf/all/forwarding", "1\n");
	says("forwarding", DOCTOR_OK, "is forwarded");

	put("/proc/sys/net/ipv4/conf/all/rp_filter", "0\n");
	put("/proc/sys/net/ipv4/conf/eth0/rp_filter", "2\n");
	put("/proc/sys/net/ipv4/conf/lo/rp_filter", "1\n");
	says("rp_filter", DOCTOR_OK, "nobody's way");
	put("/proc/sys/net/ipv4/conf/eth0/rp_filter", "1\n");
	says("rp_filter", DOCTOR_WARNING, "net.ipv4.conf.eth0.rp_filter=2");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "2\n");
	says("rp_filter", DOCTOR_OK, "nobody's way");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "1\n");
	json_object_put(host.prefs);
	host.prefs = json_tokener_parse("{\"RouteAll\":false}");
	says("rp_filter", DOCTOR_OK, "nobody's way");
}

static void port(void)
{
	bare();
	says("port", DOCTOR_OK, "41641 is free");
	put("/proc/net/udp",
	    "  sl  local_address rem_address\n"
	    "  12: 00000000:A2A9 00000000:0000 07\n");
	says("port", DOCTOR_WARNING, "41641 is in use");
	host.status = json_object_new_object();
	says("port", DOCTOR_NONE, "");
	put("/etc/default/tailraced", "FLAGS=\"--port=5000 --strict\"\n");
	host.devices = json_tokener_parse("{\"t0\":{\"port\":41641}}");
	says("port", DOCTOR_WARNING, "as 5000 was in use");
	put("/etc/default/tailraced", "FLAGS=--port=0\n");
	says("port", DOCTOR_OK, "UDP port 41641");
}

static void mtu(void)
{
	bare();
	says("mtu", DOCTOR_NONE, "");
	put("/sys/class/net/lo/mtu", "65536\n");
	put("/sys/class/net/tailrace0/mtu", "1280\n");
	put("/sys/class/net/veth0/mtu", "1000\n");
	put("/sys/class/net/eth0/mtu", "1500\n");
	put("/sys/class/net/eth0/device", "");
	says("mtu", DOCTOR_OK, "every uplink");
	put("/sys/class/net/eth0/mtu", "1359\n");
	says("mtu", DOCTOR_WARNING, "eth0 has MTU 1359");
	put("/sys/class/net/tailrace0/mtu", "1420\n");
	says("mtu", DOCTOR_WARNING, "ip link set tailrace0 mtu 1280");

	says("conntrack", DOCTOR_NONE, "");
	put("/proc/sys/net/netfilter/nf_conntrack_count", "1\n");
	put("/proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
	says("conntrack", DOCTOR_OK, "1 of 1000");
	put("/proc/sys/net/netfilter/nf_conntrack_count", "901\n");
	says("conntrack", DOCTOR_WARNING, "nf_conntrack_max=2000");
}

#define CHAIN(hook, policy)                                                 \
	"{\"chain\":{\"family\":\"inet\",\"table\":\"filter\",\"name\":\"" hook \
	"\",\"hook\":\"" hook "\",\"policy\":\"" policy "\"}}"
#define RULE(table, match)                                              \
	"{\"rule\":{\"family\":\"inet\",\"table\":\"" table             \
	"\",\"chain\":\"x\",\"expr\":[" match "{\"accept\":null}]}}"
#define DPORT(proto, right)                                               \
	"{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"" \
	proto "\",\"field\":\"dport\"}},\"right\":" right "}},"
#define META(key, right)                                                  \
	"{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"" key     \
	"\"}},\"right\":" right "}},"

static void firewall(void)
{
	static const struct {
		const char *rules;
		bool forwards, good;
	} cases[] = {
		{ "", false, true },
		{ CHAIN("input", "accept"), false, true },
		{ CHAIN("input", "drop"), false, false },
		{ CHAIN("forward", "drop"), false, true },
		{ CHAIN("forward", "drop"), true, false },
		{ CHAIN("input", "drop") "," RULE("filter", DPORT("udp", "41641")),
		  false, true },
		{ CHAIN("input", "drop") "," RULE("other", DPORT("udp", "41641")),
		  false, false },
		{ CHAIN("input", "drop") "," RULE("filter", DPORT("tcp", "41641")),
		  false, false },
		{ CHAIN("input", "drop") "," RULE("filter", DPORT("udp", "53")),
		  false, false },
		{ CHAIN("input", "drop") "," RULE("filter",
			DPORT("th", "{\"set\":[53,{\"range\":[41000,42000]}]}")),
		  false, true },
		{ CHAIN("input", "drop") "," RULE("filter",
			DPORT("udp", "{\"range\":[1,41640]}")), false, false },
		{ CHAIN("input", "drop") "," RULE("filter",
			META("iifname", "\"lo\"")), false, false },
		{ CHAIN("input", "drop") "," RULE("filter",
			META("l4proto", "\"udp\"")), false, true },
		{ CHAIN("input", "drop") "," RULE("filter", ""), false, true },
		{ CHAIN("input", "drop") "," RULE("filter",
			"{\"match\":{\"left\":{\"ct\":{\"key\":\"state\"}},"
			"\"right\":[\"established\"]}},"), false, false },
		{ CHAIN("forward", "drop") "," RULE("filter",
			META("iifname", "\"tailrace0\"")), true, true },
		{ CHAIN("forward", "drop") "," RULE("filter",
			META("iifname", "\"eth0\"")), true, false },
	};
	char text[2048];
	size_t i;

	bare();
	says("firewall", DOCTOR_NONE, "");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct doctor_result r = { 0 };
		struct json_object *o;

		snprintf(text, sizeof(text), "{\"nftables\":[{\"metainfo\":{}}%s%s]}",
			 *cases[i].rules ? "," : "", cases[i].rules);
		o = json_tokener_parse(text);
		doctor_firewall(o, 41641, "tailrace0", cases[i].forwards, &r);
		tap_ok(o && r.level == (cases[i].good ? DOCTOR_OK :
							DOCTOR_WARNING),
		       "firewall %zu: %s", i, r.text);
		json_object_put(o);
	}
	put("/proc/net/ip_tables_names", "filter\n");
	says("firewall", DOCTOR_WARNING, "legacy iptables");
}

static void saying(void)
{
	struct doctor_result r = { 0 };
	int i;

	doctor_say(&r, DOCTOR_OK, "a");
	doctor_say(&r, DOCTOR_WARNING, "b");
	doctor_say(&r, DOCTOR_OK, "c");
	doctor_say(&r, DOCTOR_WARNING, "d");
	tap_ok(r.level == DOCTOR_WARNING && !strcmp(r.text, "b; d"),
	       "the worst is said");
	for (i = 0; i < 400; i++)
		doctor_say(&r, DOCTOR_WARNING, "more of it");
	tap_ok(strlen(r.text) == sizeof(r.text) - 1, "and not without end");
}

int main(void)
{
	if (!mkdtemp(root))
		return 1;
	saying();
	kernels();
	wireguard();
	module();
	dkms();
	signature();
	state();
	processes();
	agent();
	unit();
	directory();
	clocks();
	forwarding();
	port();
	mtu();
	firewall();
	bare();
	shell("rm -rf %s", root);
	return tap_done();
}
