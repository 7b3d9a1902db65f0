#!/bin/sh
# Installs Debian packages that tests need: if CI is set, or if the user at the terminal agrees.
#
#	install.sh 'what to do where there is no apt-get' PACKAGE...
set -eu

elsewhere=$1
shift
install="apt-get install -y --no-install-recommends $*"
if ! command -v apt-get >/dev/null; then
	echo "make: not installed: $*. $elsewhere" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "make: not installed: $*. Run: sudo $install" >&2
	exit 1
fi
if [ "${CI:-}" != true ]; then
	if ! [ -t 0 ]; then
		echo "make: not installed: $*. Run: $install" >&2
		exit 1
	fi
	printf 'make: not installed: %s. Run %s? [y/N] ' "$*" "$install"
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
