#!/bin/sh
# Makes sure that redis-server or valkey-server is there for the tests. The package starts a server
# of its own, which the tests do not need: they start theirs.
set -eu

if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; then
	exit 0
fi
exec sh "$(dirname "$0")/install.sh" 'Run one of: dnf install valkey, brew install redis' redis-server
