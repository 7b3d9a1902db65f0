package key

import (
	"encoding/hex"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
)

// kindNames are the words for kinds in text. A Value key has the caller's own name instead.
var kindNames = [...]string{
	None: "none", Address: "addr", User: "user", Header: "header", Cookie: "cookie",
	Pattern: "pattern", Value: "key", Joined: "joined", Missing: "missing",
}

// String returns k as text for logs and people, such as "addr:192.0.2.1", "user:alice" or
// "header:#5e88...", where # and 44 digits stand for a hash. Joined keys are linked by "+". The
// text is plain printable ASCII. Anything else in it is quoted, so no client can forge a log line.
// [Parse] reads it back.
func (k Key) String() string {
	b := k.Bytes()
	kind, data := Kind(b[0]), b[header:header+int(b[1])]
	if kind&hashedFlag != 0 {
		return kindName(kind&^hashedFlag) + ":#" + hex.EncodeToString(data)
	}
	switch kind {
	case None, Missing:
		return kindName(kind)
	case Address:
		return "addr:" + addrText(data)
	case Value:
		n := int(data[0])
		return nameText(string(data[1:1+n])) + ":" + plainText(string(data[1+n:]))
	case Joined:
		return joinedText(data)
	}
	return kindName(kind) + ":" + plainText(string(data))
}

// Label returns what String would return for k if it held text instead of a hash.
func Label(k Key, text string) string { return kindName(KindOf(k)) + ":" + plainText(text) }

// MarshalText implements [encoding.TextMarshaler]. It returns the text of String. The error is
// always nil.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by [Parse].
func (k *Key) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err == nil {
		*k = parsed
	}
	return err
}

// LogValue implements [slog.LogValuer]. The value is the text of String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func kindName(kind Kind) string {
	if int(kind) < len(kindNames) {
		return kindNames[kind]
	}
	return "kind" + strconv.Itoa(int(kind))
}

func addrText(data []byte) string {
	if len(data) == 4 {
		return netip.AddrFrom4([4]byte(data)).String()
	}
	addr := netip.AddrFrom16([16]byte(data[1:]))
	if data[0] == 128 {
		return addr.String()
	}
	return netip.PrefixFrom(addr, int(data[0])).String()
}

// joinedText renders the parts of a joined key that was not hashed. A part that is joined itself
// is put in parentheses, and a single part follows a "+".
func joinedText(data []byte) string {
	var parts []string
	for len(data) >= header {
		var part [Size]byte
		n := copy(part[:], data[:header+int(data[1])])
		text := of(&part).String()
		if part[0] == byte(Joined) {
			text = "(" + text + ")"
		}
		parts = append(parts, text)
		data = data[n:]
	}
	if len(parts) == 1 {
		return "+" + parts[0]
	}
	return strings.Join(parts, "+")
}

// plainText returns s itself if [Parse] can read it back, and quoted otherwise.
func plainText(s string) string {
	if s == "" || s[0] == '#' || !plain(s) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// nameText is plainText for the name of a Value key, which must not look like a kind.
func nameText(s string) string {
	if _, ok := kindOf(s); ok || s == "" || strings.Contains(s, ":") || !plain(s) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// plain reports whether s is printable ASCII without any character that has a meaning in text.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`"\+()`, c) >= 0 {
			return false
		}
	}
	return true
}

func kindOf(name string) (Kind, bool) {
	for kind, known := range kindNames {
		if name == known {
			return Kind(kind), true
		}
	}
	return None, false
}
