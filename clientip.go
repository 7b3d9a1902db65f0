package ratelimit

import (
	"net/netip"
)

const defaultIPv6Prefix = 64

func addrKey(addr netip.Addr, ipv6Prefix int) Key { return Key{} }
func addrText(data []byte) string                 { return "" }
