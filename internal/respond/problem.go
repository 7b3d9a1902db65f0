package respond

import (
	"net/http"
	"strconv"
	"time"
)

// ProblemTypes is the beginning of all registered problem types (RFC 9457, section 4.2).
const ProblemTypes = "https://iana.org/assignments/http-problem-types#"

// ReducedCapacity is the problem of a service that cannot answer the request now, for no fault of
// the client. Do not change it.
var ReducedCapacity = Problem{
	Type:   ProblemTypes + "temporary-reduced-capacity",
	Status: http.StatusServiceUnavailable,
	Title:  "Service Unavailable",
	Text:   "The service is short of capacity.",
}

// A Problem is a kind of denial (RFC 9457). Its strings must need no escapes in JSON.
type Problem struct {
	Type   string // a URI
	Status int
	Title  string
	Text   string // a sentence; "Retry after 2 seconds." follows it if waiting helps
}

func (p *Problem) appendDetail(b []byte, wait time.Duration) []byte {
	b = append(b, p.Text...)
	if wait <= 0 {
		return b
	}
	secs := Seconds(wait)
	b = strconv.AppendInt(append(b, " Retry after "...), secs, 10)
	if secs == 1 {
		return append(b, " second."...)
	}
	return append(b, " seconds."...)
}

// appendJSON writes the document by hand: encoding/json would allocate.
func (p *Problem) appendJSON(b []byte, wait time.Duration, extra []byte) []byte {
	b = append(append(b, `{"type":"`...), p.Type...)
	b = append(append(b, `","title":"`...), p.Title...)
	b = strconv.AppendInt(append(b, `","status":`...), int64(p.Status), 10)
	b = p.appendDetail(append(b, `,"detail":"`...), wait)
	b = append(append(b, '"'), extra...)
	return append(b, "}\n"...)
}

// AppendViolated appends the quoted name of a policy that denied to b, which is empty or ends with
// such a name: a member of a problem document for Answer.
func AppendViolated(b []byte, member string) []byte {
	if len(b) == 0 {
		b = append(b, `,"violated-policies":[`...)
	} else {
		b[len(b)-1] = ','
	}
	return append(append(b, member...), ']')
}

// The other problems of a denied request. Do not change them.
var (
	OverLimit     = quotaExceeded("Too many requests.")
	ExceedsBurst  = quotaExceeded("The request costs more than its limit can ever allow.")
	TooManyAtOnce = quotaExceeded("Too many requests at once.")
	AbnormalUsage = Problem{
		Type: ProblemTypes + "abnormal-usage-detected", Status: http.StatusTooManyRequests,
		Title: "Too Many Requests", Text: "Blocked because of abnormal usage.",
	}
	NoKey        = forbidden("The request does not identify its client.")
	AccessDenied = forbidden("Access is denied.")
)

func quotaExceeded(text string) Problem {
	return Problem{
		Type: ProblemTypes + "quota-exceeded", Status: http.StatusTooManyRequests,
		Title: "Too Many Requests", Text: text,
	}
}

func forbidden(text string) Problem {
	return Problem{Type: "about:blank", Status: http.StatusForbidden, Title: "Forbidden", Text: text}
}

// The reasons for a denial that have a [Problem] other than OverLimit: values of ratelimit.Reason.
const (
	ReasonExceedsBurst = "exceeds-burst"
	ReasonNoKey        = "no-key"
	ReasonStore        = "store"
	ReasonInFlight     = "in-flight"
	ReasonCapacity     = "capacity"
	ReasonBlocked      = "blocked"
	ReasonDenied       = "denied"
)

// ProblemOf returns the Problem of a denial for that reason.
func ProblemOf(reason string) *Problem {
	switch reason {
	case ReasonNoKey:
		return &NoKey
	case ReasonDenied:
		return &AccessDenied
	case ReasonBlocked:
		return &AbnormalUsage
	case ReasonStore, ReasonCapacity:
		return &ReducedCapacity
	case ReasonInFlight:
		return &TooManyAtOnce
	case ReasonExceedsBurst:
		return &ExceedsBurst
	}
	return &OverLimit
}
