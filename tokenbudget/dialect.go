package tokenbudget

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/respond"
)

// longRetry is the longest wait after which an SDK should try again by itself.
const longRetry = time.Minute

// problem is a response of the Guard itself.
type problem struct {
	status int
	retry  time.Duration // how long to wait; 0 if waiting does not help or is not known
	text   string
}

// dialect returns how to talk to the client of r.
func (g *Guard) dialect(r *http.Request) Dialect {
	switch {
	case g.cfg.Dialect != "":
		return g.cfg.Dialect
	case r.Header.Get("Anthropic-Version") != "", strings.Contains(r.URL.Path, "/v1/messages"):
		return Anthropic
	}
	return OpenAI
}

// fail answers with p, or with the wait of an outer handler if that is longer.
func (d Dialect) fail(w http.ResponseWriter, p *problem, now func() time.Time) {
	h, retry := w.Header(), p.retry
	if retry > 0 {
		retry = max(retry, time.Duration(respond.Longest(h, now))*time.Second)
		h.Set("Retry-After", strconv.FormatInt(ceil(retry, time.Second), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(ceil(retry, time.Millisecond), 10))
	}
	if p.status == http.StatusTooManyRequests {
		h.Set("X-Should-Retry", strconv.FormatBool(retry > 0 && retry <= longRetry))
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(d.body(p)) // the client may have left
}

// body returns the error in the vendor's shape.
func (d Dialect) body(p *problem) any {
	kind, code := d.kind(p.status)
	if d == Anthropic {
		return map[string]any{
			"type": "error", "error": map[string]any{"type": kind, "message": p.text},
		}
	}
	return map[string]any{"error": map[string]any{
		"message": p.text, "type": kind, "param": nil, "code": code,
	}}
}

// kind returns the vendor's names for a status. The code is nil if the vendor has none.
func (d Dialect) kind(status int) (kind string, code any) {
	openAI := d != Anthropic
	switch {
	case status == http.StatusTooManyRequests && openAI:
		return "tokens", "rate_limit_exceeded"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error", nil
	case status >= 500 && openAI:
		return "server_error", nil
	case status >= 500:
		return "api_error", nil
	case status == http.StatusForbidden:
		return "permission_error", nil
	case status == http.StatusRequestEntityTooLarge && !openAI:
		return "request_too_large", nil
	}
	return "invalid_request_error", nil
}

// fields sets the fields of the limit that allows least.
func (h *held) fields(header http.Header, d Dialect, now time.Time) {
	p := h.strictest()
	if p == nil {
		return
	}
	limit, remaining := strconv.FormatInt(p.limit.burst, 10), strconv.FormatInt(p.remaining(), 10)
	reset := max(p.decision.ResetAfter, 0)
	if d == Anthropic {
		header.Set("Anthropic-Ratelimit-Tokens-Limit", limit)
		header.Set("Anthropic-Ratelimit-Tokens-Remaining", remaining)
		at := now.Add(reset + time.Second - 1).UTC()
		header.Set("Anthropic-Ratelimit-Tokens-Reset", at.Format(time.RFC3339))
		return
	}
	header.Set("X-Ratelimit-Limit-Tokens", limit)
	header.Set("X-Ratelimit-Remaining-Tokens", remaining)
	rounded := time.Duration(ceil(reset, time.Millisecond)) * time.Millisecond
	header.Set("X-Ratelimit-Reset-Tokens", rounded.String())
}

// strictest returns the part that was denied with the longest wait, or else the part with the
// smallest share left. It is nil if no limit decided.
func (h *held) strictest() (worst *part) {
	share := func(p *part) float64 { return float64(p.remaining()) / float64(p.limit.burst) }
	for i := range h.parts {
		p := &h.parts[i]
		switch {
		case p.decision.Limit.Count == 0:
		case worst == nil,
			p.decision.RetryAfter > worst.decision.RetryAfter,
			p.decision.RetryAfter == worst.decision.RetryAfter && share(p) < share(worst):
			worst = p
		}
	}
	return worst
}

// ceil returns d in units, rounded up.
func ceil(d, unit time.Duration) int64 { return int64((d + unit - 1) / unit) }
