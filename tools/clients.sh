#!/bin/sh
# Makes sure that Chromium and nginx are there for the tests of proof/clients. It installs them if
# CI is set, or if the user at the terminal agrees.
set -eu

missing=
found=
for browser in chromium chromium-browser google-chrome google-chrome-stable; do
	command -v "$browser" >/dev/null && found=yes
done
test -n "$found" || missing="chromium"
# Debian keeps nginx where the PATH of an ordinary user does not reach.
PATH="$PATH:/usr/sbin" command -v nginx >/dev/null || missing="$missing nginx-light"
missing=${missing# }
test -n "$missing" || exit 0

install="apt-get install -y --no-install-recommends $missing"
if ! command -v apt-get >/dev/null; then
	echo "make: not installed: $missing. Install Chromium and nginx, such as by brew install chromium nginx" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "make: not installed: $missing. Run: sudo $install" >&2
	exit 1
fi
if [ "${CI:-}" != true ]; then
	if ! [ -t 0 ]; then
		echo "make: not installed: $missing. Run: $install" >&2
		exit 1
	fi
	printf 'make: not installed: %s. Run %s? [y/N] ' "$missing" "$install"
	read -r answer
	case $answer in
	y | Y | yes) ;;
	*) exit 1 ;;
	esac
fi
echo "make: $install"
export DEBIAN_FRONTEND=noninteractive
$install -qq >/dev/null 2>&1 || {
	apt-get update -qq
	$install -qq >/dev/null
}
