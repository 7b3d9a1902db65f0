package key

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxText bounds the text that Parse reads, in bytes.
const maxText = 4096

// maxDepth bounds nested parentheses. A joined key that is not hashed has room for fewer.
const maxDepth = 16

// Parse returns the Key whose String is text. It also reads texts that String would print hashed,
// such as "user:" and a long name. A text that starts with no known kind is a name and its value,
// such as "tenant:acme".
func Parse(text string) (Key, error) {
	k, err := parse(text)
	if err != nil {
		shown := text
		if len(shown) > 80 {
			shown = shown[:80] + "..."
		}
		return Key{}, fmt.Errorf("ratelimit: key %q: %w", shown, err)
	}
	return k, nil
}

func parse(text string) (Key, error) {
	if len(text) > maxText {
		return Key{}, fmt.Errorf("%d bytes: want at most %d", len(text), maxText)
	}
	parts, err := split(text)
	if err != nil {
		return Key{}, err
	}
	switch {
	case len(parts) == 1:
		return parseOne(text)
	case len(parts) == 2 && parts[0] == "":
		parts = parts[1:] // a single part
	}
	keys := make([]Key, len(parts))
	for i, part := range parts {
		if keys[i], err = parsePart(part); err != nil {
			return Key{}, fmt.Errorf("part %d: %w", i+1, err)
		}
	}
	return Join(keys...), nil
}

// parsePart reads one part of a joined key.
func parsePart(text string) (k Key, err error) {
	if inner, ok := strings.CutPrefix(text, "("); ok {
		k, err = parse(strings.TrimSuffix(inner, ")"))
	} else {
		k, err = parseOne(text)
	}
	if err == nil && k.IsZero() {
		err = errors.New("no key")
	}
	return k, err
}

// split cuts text at each "+" outside of quotes and parentheses.
func split(text string) ([]string, error) {
	var parts []string
	depth, from := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted, err := strconv.QuotedPrefix(text[i:])
			if err != nil {
				return nil, fmt.Errorf("offset %d: a quote without an end", i)
			}
			i += len(quoted) - 1
		case '(':
			depth++
		case ')':
			depth--
		case '+':
			if depth == 0 {
				parts = append(parts, text[from:i])
				from = i + 1
			}
		}
		if depth < 0 || depth > maxDepth {
			return nil, fmt.Errorf("offset %d: unexpected %q", i, text[i:i+1])
		}
	}
	if depth > 0 {
		return nil, errors.New(`")" is missing`)
	}
	return append(parts, text[from:]), nil
}

// parseOne reads the text of a key that is not joined.
func parseOne(text string) (Key, error) {
	if kind, ok := kindOf(text); ok && (kind == None || kind == Missing) {
		if kind == Missing {
			return Shared(), nil
		}
		return Key{}, nil
	}
	name, quoted, rest, err := cutName(text)
	if err != nil {
		return Key{}, err
	}
	kind, known := kindOf(name)
	if digits, hashed := strings.CutPrefix(rest, "#"); hashed && known && !quoted {
		return parseHash(kind, digits)
	}
	if known && !quoted && kind == Address {
		return parseAddr(rest)
	}
	value, err := unquote(rest)
	switch {
	case err != nil:
		return Key{}, err
	case value == "":
		return Key{}, errors.New("nothing after the colon: want text such as user:alice")
	case quoted || !known:
		return Pair(name, value), nil
	case kind == User || kind == Pattern:
		return Text(kind, value), nil
	}
	return Key{}, fmt.Errorf("a %s key is a hash: want # and %d digits", name, 2*inline)
}

// cutName cuts text at its first colon. The name can be quoted.
func cutName(text string) (name string, quoted bool, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		if q, err := strconv.QuotedPrefix(text); err == nil && strings.HasPrefix(text[len(q):], ":") {
			name, err = strconv.Unquote(q)
			return name, true, text[len(q)+1:], err
		}
	}
	name, rest, found := strings.Cut(text, ":")
	if !found || name == "" || !plain(name) {
		err = errors.New("want a kind and text, such as user:alice, addr:192.0.2.1 or tenant:acme")
		return "", false, "", err
	}
	return name, false, rest, nil
}

func unquote(s string) (string, error) {
	if strings.HasPrefix(s, `"`) {
		text, err := strconv.Unquote(s)
		if err != nil {
			return "", fmt.Errorf("%s is not quoted as in Go", s)
		}
		return text, nil
	}
	if !plain(s) {
		return "", fmt.Errorf("%q needs quotes around it", s)
	}
	return s, nil
}

func parseHash(kind Kind, digits string) (Key, error) {
	data, err := hex.DecodeString(digits)
	if err != nil || len(data) != inline || kind == None || kind == Address || kind == Missing {
		return Key{}, fmt.Errorf("want # and %d hexadecimal digits", 2*inline)
	}
	b := [Size]byte{byte(kind) | hashedFlag, inline}
	copy(b[header:], data)
	return of(&b), nil
}

func parseAddr(text string) (Key, error) {
	addr, err := netip.ParseAddr(text)
	bits := 128
	if err != nil {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() || prefix.Addr().Is4() {
			return Key{}, fmt.Errorf("%q: want an address, or an IPv6 prefix such as 2001:db8::/64", text)
		}
		addr, bits = prefix.Addr(), prefix.Bits()
	}
	if addr.Is4In6() || addr.Zone() != "" || bits < 32 {
		const want = "want an address without zone, IPv4 in its own form, and a prefix of 32 bits or more"
		return Key{}, fmt.Errorf("%q: %s", text, want)
	}
	return Addr(addr, bits), nil
}
