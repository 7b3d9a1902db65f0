#!/bin/sh
# Makes sure that each Lua that a server may have is there for the tests of redisstore.
set -eu

missing=
for lua in lua5.1 luajit lua5.4; do
	command -v $lua >/dev/null || missing="$missing $lua"
done
test -n "$missing" || exit 0
# shellcheck disable=SC2086 # several words
exec sh "$(dirname "$0")/install.sh" 'Install each Lua by hand' $missing
