package outbound

// A knee bounds the slow start after a denial that tells no wait. Only denials show the limit of
// such a server, so a start that doubled each time would end with many at once. From half of the
// requests that were in flight at the denial, it grows by one in the time of a round trip, as TCP
// does (RFC 5681, section 3.1). The zero knee bounds nothing.
type knee struct {
	from    int // requests in flight; 0 means no bound
	answers int // since one more request could be in flight
}

func newKnee(flying int) knee { return knee{from: max(flying/2, 1)} }

// grows reports whether an answer lets one more request be in flight beside open others.
func (k *knee) grows(open int) bool {
	if k.from == 0 || open < k.from {
		return true
	}
	if k.answers++; k.answers < open {
		return false
	}
	k.answers = 0
	return true
}
