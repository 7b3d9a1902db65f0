#!/bin/sh
# Makes sure that PostgreSQL and PgBouncer are there for the tests. The packages start a server of
# their own, which the tests do not need: they start theirs.
set -eu

# Debian keeps the programs of each version of PostgreSQL outside PATH.
for found in "$(command -v initdb || true)" /usr/lib/postgresql/*/bin/initdb; do
	if [ -x "$found" ] && PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null; then
		exit 0
	fi
done
exec sh "$(dirname "$0")/install.sh" 'Run one of: dnf install postgresql-server pgbouncer, brew install postgresql pgbouncer' \
	postgresql pgbouncer
