package fiberlimit

import (
	"iter"
	"net/http"
	"slices"

	"github.com/gofiber/utils/v2"
)

// texts copies texts whose memory fasthttp uses again, into one piece of memory. It must have room
// for all.
type texts []byte

func (t *texts) add(b []byte) string {
	start := len(*t)
	*t = append(*t, b...)
	return utils.UnsafeString((*t)[start:])
}

// measure returns how many bytes the names and values of fields have, and the number of fields.
func measure(fields iter.Seq2[[]byte, []byte]) (size, n int) {
	for key, value := range fields {
		size, n = size+len(key)+len(value), n+1
	}
	return size, n
}

// fields adds copies of fields to header, except fields whose name is in skip. The values in header
// are parts of values, which must be empty and have room for all.
func (t *texts) fields(
	header http.Header, fields iter.Seq2[[]byte, []byte], values []string, skip ...string,
) {
	for key, value := range fields {
		name := http.CanonicalHeaderKey(t.add(key))
		if slices.Contains(skip, name) {
			continue
		}
		values = append(values, t.add(value))
		last := values[len(values)-1 : len(values) : len(values)]
		if before, ok := header[name]; ok {
			last = append(before, last[0])
		}
		header[name] = last
	}
}
