#!/bin/sh
# usage: apidiff.sh [DIR]
#
# Prints how the exported API differs from that in DIR. Without DIR, it compares with the last
# commit that changed testdata/api.txt, or with the one before if that is the current commit.
set -eu

if [ $# -eq 0 ]; then
	base=$(git log -1 --format=%H -- testdata/api.txt)
	if [ "$base" = "$(git rev-parse HEAD)" ] && git diff --quiet HEAD -- testdata/api.txt; then
		base=$base^
	fi
	exec sh tools/at.sh "$base" sh "$0"
fi

tools=$PWD/tools/go.mod
log=$1/apidiff.log
module=$(awk '$1 == "module" { print $2 }' go.mod)
apidiff() { # without the lines about packages that are not compared
	"${GO:-go}" tool -modfile="$tools" apidiff "$@" 2>"$log" || {
		cat "$log" >&2
		exit 1
	}
}
(cd "$1" && apidiff -m -w "$1/old.api" "$module")
diff=$(apidiff -m "$1/old.api" "$module")
printf '%s\n' "${diff:-The exported API is the same.}"
