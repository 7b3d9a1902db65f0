package shed

// Priority is how important a request is to the service. Values below [Sheddable] mean Sheddable,
// and values above [Critical] mean Critical. The zero value is [Normal].
type Priority int8

const (
	// Sheddable requests are denied first, when three quarters of the limit are in flight. Use it
	// for crawlers, prefetching, exports, and requests that the client repeats later.
	Sheddable Priority = iota - 1
	// Normal requests are denied when as many requests as the limit are in flight.
	Normal
	// Critical requests are denied only when MaxInFlight requests are in flight. Use it for health
	// checks, payments and logins. They count toward the limit, so other requests make room.
	Critical
)

// priorities is the number of priorities.
const priorities = int(Critical-Sheddable) + 1

// String returns "sheddable", "normal" or "critical".
func (p Priority) String() string {
	return [priorities]string{"sheddable", "normal", "critical"}[p.index()]
}

// MarshalText implements [encoding.TextMarshaler]. The text is the text of String.
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// known returns the priority that p means.
func (p Priority) known() Priority { return min(max(p, Sheddable), Critical) }

// index is 0 for Sheddable, 1 for Normal, 2 for Critical.
func (p Priority) index() int { return int(p.known() - Sheddable) }
