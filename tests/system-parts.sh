#!/bin/sh
# The parts of the system that tests need: redis-server, Chromium, Node.js, and the proxies nginx, HAProxy and Caddy. Installed by apt where that is possible.
set -eu
has_chromium() { command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1; }
missing="" browser=""
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
command -v chromium-headless-shell >/dev/null 2>&1 || browser=chromium-headless-shell # a whole Chromium needs half as much CPU again
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx"
command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
command -v caddy >/dev/null 2>&1 || missing="$missing caddy"
[ -n "$missing$browser" ] || exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing:$missing $browser"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || [ -z "$missing" ]
    if [ -n "$browser" ] && ! apt-get install -y -qq --no-install-recommends "$browser" >/dev/null 2>&1; then
        has_chromium || missing="$missing chromium" # some distributions have no such package
    fi
    # shellcheck disable=SC2086 # a list of packages
    [ -z "$missing" ] || apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    has_chromium || [ -z "$browser" ] || missing="$missing chromium"
    [ -n "$missing" ] || exit 0
    echo "the tests need these programs, please install them:$missing" >&2
    exit 1
fi
