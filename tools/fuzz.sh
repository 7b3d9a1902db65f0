#!/bin/sh
# usage: fuzz.sh TIME
#
# Runs every fuzz target of the module in the current directory for TIME (a duration, or a
# number of inputs as in 50000x), one after another, as go test -fuzz takes one target of
# one package at a time. A target that fails does not keep the others from running.
set -eu

go=${GO:-go}
grep -rq '^func Fuzz' --include='*_test.go' . || exit 0

# go test -list prints the names of a package's targets, then a line "ok PACKAGE ...".
list=$("$go" test -list '^Fuzz' ./...)
targets=$(printf '%s\n' "$list" | awk '
	/^Fuzz/ { name[n++] = $1 }
	/^ok/ { for (i = 0; i < n; i++) print $2, name[i]; n = 0 }')

status=0
while read -r package target; do
	test -n "$target" || continue # the here-document of no targets is one empty line
	echo "$target, $package"
	"$go" test -run '^$' -fuzz "^$target\$" -fuzzminimizetime 100x -fuzztime "$1" "$package" </dev/null || status=1
done <<EOF
$targets
EOF
exit "$status"
