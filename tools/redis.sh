#!/bin/sh
# Makes sure that redis-server or valkey-server is there for the tests. It installs redis-server
# if CI is set, or if the user at the terminal agrees.
set -eu

if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; then
	exit 0
fi

# The package starts a server of its own, which the tests do not need: they start theirs.
install="apt-get install -y --no-install-recommends redis-server"
if ! command -v apt-get >/dev/null; then
	echo "make: redis-server is not installed. Run one of: dnf install valkey, brew install redis" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "make: redis-server is not installed. Run: sudo $install" >&2
	exit 1
fi
if [ "${CI:-}" != true ]; then
	if ! [ -t 0 ]; then
		echo "make: redis-server is not installed. Run: $install" >&2
		exit 1
	fi
	printf 'make: redis-server is not installed. Run %s? [y/N] ' "$install"
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
