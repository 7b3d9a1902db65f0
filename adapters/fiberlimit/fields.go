package fiberlimit

import (
	"bytes"
	"iter"
	"net/http"

	"github.com/gofiber/utils/v2"
)

// texts copies texts whose memory fasthttp uses again, into one piece of memory if that has room.
type texts []byte

func (t *texts) add(b []byte) string { return t.added(append(*t, b...)) }

// added returns what all has more than t, which becomes all.
func (t *texts) added(all []byte) string {
	start := len(*t)
	*t = all
	return utils.UnsafeString(all[start:])
}

// measure returns how many bytes the names and values of fields have, and the number of fields.
func measure(fields iter.Seq2[[]byte, []byte]) (size, n int) {
	for key, value := range fields {
		size, n = size+len(key)+len(value), n+1
	}
	return size, n
}

// fields adds copies of fields to header, except fields that skip finds by their name. It appends
// their values to values, whose memory the values in header share.
func (t *texts) fields(
	header http.Header, fields iter.Seq2[[]byte, []byte], values []string, skip func(name []byte) bool,
) []string {
	for key, value := range fields {
		if skip(key) {
			continue
		}
		name := http.CanonicalHeaderKey(t.add(key))
		values = append(values, t.add(value))
		last := values[len(values)-1 : len(values) : len(values)]
		if before, ok := header[name]; ok {
			last = append(before, last[0])
		}
		header[name] = last
	}
	return values
}

// elsewhere reports whether net/http keeps the field of that name elsewhere than in the Header.
func elsewhere(name []byte) bool {
	switch len(name) {
	case len("Host"):
		return bytes.EqualFold(name, []byte("Host"))
	case len("Transfer-Encoding"):
		return bytes.EqualFold(name, []byte("Transfer-Encoding"))
	}
	return false
}

// omits reports whether a light request goes without the field of that name. Clients send these
// fields often, and a limiter reads none of them by itself: internal/copied has the same names. If
// a key reads one, the limiter asks for a whole request. Accept is read for a denial only: see
// passage.Accept. A field that is copied takes 80 ns. So this saves a fifth of the time that a
// request without proxies takes here, and half of the time of a browser's, which has 15 fields.
// TestLightRequestsAgree compares both ways.
func omits(name []byte) bool {
	switch string(name) {
	case "Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Length",
		"Content-Type", "If-Modified-Since", "If-None-Match", "Pragma", "Priority", "Referer", "Sec-Ch-Ua",
		"Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
		"Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent":
		return true
	}
	return elsewhere(name)
}
