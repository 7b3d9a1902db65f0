#!/bin/sh
# Makes sure that prometheus and promtool are there for the tests of metrics/proof. The package
# starts a server of its own, which the tests do not need: they start theirs.
set -eu

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
	exit 0
fi
exec sh "$(dirname "$0")/install.sh" 'Run: brew install prometheus' prometheus
