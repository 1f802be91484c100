# SPDX-License-Identifier: GPL-2.0
#
# Sourced by lib.sh: the control server, behind one set of functions.
# CONTROL=headscale (the default) or coord, which is ours; both at $url.
#
#   control_start, control_stop [SIGNAL]
#   control_user NAME            creates a user
#   control_key [FLAG...]        prints a pre-auth key of the first user;
#                                --reusable, --ephemeral, --tags=tag:x
#   control_nodes                prints the list of nodes as JSON
#   control_approve ID           lets the node in that shows a URL ending so
#   control_approve_routes NODE ROUTE[,ROUTE]
#   control_expire NODE, control_delete NODE

control=${CONTROL:-headscale}

# A coordination server of ours, with the flags that every test needs.
coord() {
	"$top/build/tailrace" coord "$@" --socket="$tmp/coord/admin.sock" \
		2>>"$tmp/coord-cli.log"
}

headscale() {
	"$bin/headscale" -c "$tmp/headscale.yaml" "$@" 2>>"$tmp/headscale-cli.log"
}

policy_allow_all() {
	echo '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}'
}

# Puts the policy on standard input into force.
policy_set() {
	cat > "$tmp/policy.json"
	kill -HUP "$(cat "$tmp/$control.pid")"
}

control_configure() {
	policy_allow_all > "$tmp/policy.json"
	"${control}_configure"
}

control_start() {
	"${control}_spawn"
	within 30 in_ns net curl -sfo /dev/null "$url/health" \
		--cacert "$tmp/headscale.test.crt" \
		--resolve headscale.test:8443:203.0.113.1 ||
		bail "$control does not start"
}

control_stop() { # [SIGNAL]
	reap "$control" "${1:-TERM}"
}

control_user() {
	"$control" users create "$1"
}

control_key() {
	"${control}_key" "$@"
}

control_nodes() {
	"${control}_nodes"
}

control_approve() {
	"${control}_approve" "$1"
}

control_approve_routes() {
	"$control" nodes approve-routes -i "$1" -r "$2"
}

control_expire() {
	"$control" nodes expire -i "$1"
}

control_delete() {
	"$control" nodes delete -i "$1" --force
}

# The relay's certificate is known to clients by its hash in the DERP map; the
# control server's is the only one they trust.
derp_cert_name() {
	local hash
	hash=$(openssl x509 -in "$tmp/derp.test.crt" -outform DER | sha256sum)
	echo "sha256-raw:${hash%% *}"
}

# ── headscale ────────────────────────────────────────────────────────────

headscale_configure() {
	cat > "$tmp/derpmap.yaml" <<-EOT
	regions:
	  900:
	    regionid: 900
	    regioncode: test
	    regionname: Test
	    nodes:
	      - name: 900a
	        regionid: 900
	        hostname: derp.test
	        certname: $(derp_cert_name)
	        ipv4: 203.0.113.1
	        ipv6: 2001:db8::1
	EOT
	cat > "$tmp/headscale.yaml" <<-EOT
	server_url: $url
	listen_addr: "[::]:8443"
	tls_cert_path: $tmp/headscale.test.crt
	tls_key_path: $tmp/headscale.test.key
	metrics_listen_addr: 127.0.0.1:9090
	grpc_listen_addr: 127.0.0.1:50443
	noise:
	  private_key_path: $tmp/headscale.key
	prefixes:
	  v4: 100.64.0.0/10
	  v6: fd7a:115c:a1e0::/48
	derp:
	  urls: []
	  paths: [$tmp/derpmap.yaml]
	  auto_update_enabled: false
	disable_check_updates: true
	database:
	  type: sqlite
	  sqlite:
	    path: $tmp/headscale.db
	policy:
	  mode: file
	  path: $tmp/policy.json
	dns:
	  magic_dns: false
	  override_local_dns: false
	  base_domain: tailrace.test
	unix_socket: $tmp/headscale.sock
	log:
	  level: info
	EOT
}

headscale_spawn() {
	spawn net headscale "$bin/headscale" -c "$tmp/headscale.yaml" serve
}

headscale_key() {
	headscale preauthkeys create --user 1 "$@" -o json | jq -r .key
}

headscale_nodes() {
	headscale nodes list -o json
}

headscale_approve() {
	headscale auth register --auth-id "$1" --user tester
}

# ── coord ────────────────────────────────────────────────────────────────

coord_configure() {
	[ -x "$top/build/tailrace" ] || bail "no build/tailrace: make agent"
	mkdir -p "$tmp/coord"
	chmod 700 "$tmp/coord"
	cat > "$tmp/derpmap.json" <<-EOT
	{"Regions": {"900": {"RegionID": 900, "RegionCode": "test",
		"RegionName": "Test", "Nodes": [{"Name": "900a",
		"RegionID": 900, "HostName": "derp.test",
		"CertName": "$(derp_cert_name)",
		"IPv4": "203.0.113.1", "IPv6": "2001:db8::1"}]}}}
	EOT
}

coord_spawn() {
	spawn net coord "$top/build/tailrace" coord serve \
		--state-dir="$tmp/coord" --listen=:8443 --server-url="$url" \
		--tls-cert="$tmp/headscale.test.crt" \
		--tls-key="$tmp/headscale.test.key" \
		--policy="$tmp/policy.json" --derp-map="$tmp/derpmap.json" \
		--base-domain=tailrace.test --magic-dns=false \
		--metrics-listen=127.0.0.1:9090
}

coord_key() {
	coord keys create --user 1 "$@" --json | jq -r .key
}

coord_nodes() {
	coord nodes list --json
}

coord_approve() {
	coord nodes approve "$1" --user=tester
}
