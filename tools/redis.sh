#!/bin/sh
# Makes sure that redis-server, or valkey-server, is there for the tests.
set -eu

if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "make test: redis-server is not installed: apt-get install redis-server, dnf install valkey, brew install redis" >&2
	exit 1
fi
echo "make test: apt-get install redis-server"
export DEBIAN_FRONTEND=noninteractive
# The package starts a server of its own, which is not wanted: the tests start theirs.
apt-get install -y -qq --no-install-recommends redis-server >/dev/null 2>&1 || {
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends redis-server >/dev/null
}
