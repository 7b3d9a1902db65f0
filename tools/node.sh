#!/bin/sh
# Makes sure that node, npm, nginx and the packages of npm are there for the tests of proof/outbound.
set -eu

tools=$(dirname "$0")
missing=
command -v node >/dev/null || missing="nodejs"
command -v npm >/dev/null || missing="$missing npm"
# Debian keeps nginx where the PATH of an ordinary user does not reach.
PATH="$PATH:/usr/sbin" command -v nginx >/dev/null || missing="$missing nginx-light"
# shellcheck disable=SC2086 # several words
test -z "$missing" || sh "$tools/install.sh" 'Install node, npm and nginx, such as by brew install node nginx' $missing

cd "$tools/../proof/outbound/testdata/express"
# npm keeps a copy of the lock file beside what it has installed.
if ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
	echo 'make: npm ci'
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
fi
