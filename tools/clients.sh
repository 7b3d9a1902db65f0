#!/bin/sh
# Makes sure that Chromium and nginx are there for the tests of proof/clients.
set -eu

missing=
found=
for browser in chromium chromium-browser google-chrome google-chrome-stable; do
	command -v "$browser" >/dev/null && found=yes
done
test -n "$found" || missing="chromium"
# Debian keeps nginx where the PATH of an ordinary user does not reach.
PATH="$PATH:/usr/sbin" command -v nginx >/dev/null || missing="$missing nginx-light"
test -n "$missing" || exit 0
# shellcheck disable=SC2086 # several words
exec sh "$(dirname "$0")/install.sh" 'Install Chromium and nginx, such as by brew install chromium nginx' $missing
