#!/bin/sh
# usage: at.sh COMMIT COMMAND...
#
# Copies the files of COMMIT to a temporary directory, and runs COMMAND with that directory as its
# last argument. If the clone does not have COMMIT, it says so and succeeds.
set -eu

commit=$1
shift
if ! git rev-parse -q --verify "$commit^{commit}" >/dev/null; then
	echo "$commit is not in this clone: nothing was compared"
	exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
git archive "$commit" | tar -x -C "$dir"
echo "compared with $(git log -1 --format='%h %s' "$commit")"
"$@" "$dir"
