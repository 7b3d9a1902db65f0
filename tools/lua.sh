#!/bin/sh
# Makes sure that each Lua that a server may have is there for the tests of redisstore. It installs
# them if CI is set, or if the user at the terminal agrees.
set -eu

missing=
for lua in lua5.1 luajit lua5.4; do
	command -v $lua >/dev/null || missing="$missing $lua"
done
test -n "$missing" || exit 0

install="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
	echo "make: not installed:$missing" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "make: not installed:$missing. Run: sudo $install" >&2
	exit 1
fi
if [ "${CI:-}" != true ]; then
	if ! [ -t 0 ]; then
		echo "make: not installed:$missing. Run: $install" >&2
		exit 1
	fi
	printf 'make: not installed:%s. Run %s? [y/N] ' "$missing" "$install"
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
