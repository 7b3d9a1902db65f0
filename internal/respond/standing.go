package respond

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Standing is how a client stands with its strictest limit. The forms before version 8 of the
// draft have room for one limit only.
type Standing struct {
	Quota, Window int64         // of the [Policy]
	Limit         int64         // the burst
	Remaining     int64         // tokens left
	Reset         time.Duration // until the client may go on; if it may, until the bucket is full
	Allowed       bool
}

// The fields that hold the limit, the tokens left and the reset.
var (
	draft6Names = [3]string{"Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset"}
	legacyNames = [3]string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}
)

// FieldNames returns the names of the fields of the form of that name, as a client knows them.
func FieldNames(form string) []string {
	switch form {
	case "none":
		return []string{"Retry-After"}
	case "draft-6":
		return []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"}
	case "legacy":
		return []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"}
	}
	return []string{"RateLimit", "RateLimit-Policy", "Retry-After"}
}

// SetStanding writes s in the form of that name.
func SetStanding(h http.Header, form string, s Standing, now func() time.Time) {
	switch form {
	case "draft-7":
		SetDraft7(h, s)
	case "draft-6":
		SetDraft6(h, s)
	default:
		SetLegacy(h, s, now())
	}
}

// SetDraft7 writes RateLimit-Policy and RateLimit in the form of version 7 of the draft. It writes
// nothing if s is allowed and an outer limiter left at most as many tokens.
func SetDraft7(h http.Header, s Standing) {
	outer, found := draft7Remaining(h.Get(levelName))
	if found && s.Allowed && outer <= s.Remaining {
		return
	}
	limit, left := strconv.FormatInt(s.Limit, 10), strconv.FormatInt(s.Remaining, 10)
	reset := strconv.FormatInt(Seconds(s.Reset), 10)
	h[policyName] = []string{strconv.FormatInt(s.Quota, 10) + ";w=" + strconv.FormatInt(s.Window, 10)}
	h[levelName] = []string{"limit=" + limit + ", remaining=" + left + ", reset=" + reset}
}

// draft7Remaining returns how many tokens are left by a RateLimit field of an outer limiter.
func draft7Remaining(field string) (int64, bool) {
	_, rest, _ := strings.Cut(field, "remaining=")
	digits, _, _ := strings.Cut(rest, ",")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// SetDraft6 writes RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset in the form of versions
// 3 to 6 of the draft, with the reset in seconds from now. It writes nothing if s is allowed and an
// outer limiter left at most as many tokens.
func SetDraft6(h http.Header, s Standing) {
	setThree(h, &draft6Names, s, Seconds(s.Reset))
}

// SetLegacy is [SetDraft6] for the fields that begin with X-RateLimit. The reset is in seconds
// since 1970, rounded up.
func SetLegacy(h http.Header, s Standing, now time.Time) {
	setThree(h, &legacyNames, s, now.Add(s.Reset+time.Second-1).Unix())
}

func setThree(h http.Header, names *[3]string, s Standing, reset int64) {
	outer, err := strconv.ParseInt(h.Get(names[1]), 10, 64)
	if err == nil && s.Allowed && outer <= s.Remaining {
		return
	}
	for i, n := range [...]int64{s.Limit, s.Remaining, reset} {
		h[names[i]] = []string{strconv.FormatInt(n, 10)}
	}
}
