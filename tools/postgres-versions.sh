#!/bin/sh
# Runs the tests of postgresstore with the oldest and the newest PostgreSQL that it works with. The
# servers are packages of npm, which are for Linux on x64. They go into a directory that the user of
# the servers may read, and are removed in the end.
set -eu

case "$(uname -s) $(uname -m)" in
"Linux x86_64") ;;
*)
	echo "make postgres-versions: the servers are for Linux on x86_64 only" >&2
	exit 1
	;;
esac
cd "$(dirname "$0")/../postgresstore"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
cp testdata/versions/*.json "$dir"
(
	cd "$dir"
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	for package in node_modules/postgres*; do
		(cd "$package" && node scripts/hydrate-symlinks.js >/dev/null)
	done
	chmod -R a+rX .
)
for package in "$dir"/node_modules/postgres*; do
	bin=$package/native/bin
	echo "-- $("$bin/postgres" --version)"
	POSTGRES_BIN=$bin ${GO:-go} test -count=1 ./...
done
