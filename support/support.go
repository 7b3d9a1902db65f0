// Package support is for a support desk: it shows how a client stands with every rule, and unblocks
// the client or resets what it has spent.
//
//	key, err := support.HeaderKey("X-Api-Key", "k-123") // or ratelimit.UserKey("alice")
//	...
//	for _, s := range support.Find(ctx, limiter, key) {
//		fmt.Println(s) // such as "plan: 94 left of 100 per hour"
//	}
//	err = support.Reset(ctx, limiter, key)
//
// To undo a lock-out of a login, call Unlock of [login.Guard] with the account. Package dashboard
// shows the same on a page. All functions are safe for concurrent use.
//
// [login.Guard]: https://pkg.go.dev/github.com/ratelimit-go/ratelimit/login#Guard
package support

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// AddrKey returns the key by which the rules of l count a client address. Of an IPv6 address that
// is its network.
func AddrKey(l *ratelimit.Limiter, addr netip.Addr) ratelimit.Key {
	return ratelimit.PrefixKey(l.ClientIP().Prefix(addr.Unmap()))
}

// HeaderKey returns the key of a request whose header field has this value, such as an API key, for
// rules with [ratelimit.ByHeader]. The error says that no request can have such a field.
func HeaderKey(name, value string) (ratelimit.Key, error) {
	r := &http.Request{Header: http.Header{}}
	isToken := (&http.Cookie{Name: name}).Valid() == nil // as the name of a cookie is
	if isToken && strings.Trim(value, " \t") == value && !strings.ContainsFunc(value, isControl) {
		r.Header.Set(name, value)
	}
	return found(ratelimit.ByHeader(name), r, "header field", name)
}

// isControl reports whether no header field has c.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// CookieKey returns the key of a request whose cookie has this value, for rules with
// [ratelimit.ByCookie]. The error says that no request can have such a cookie.
func CookieKey(name, value string) (ratelimit.Key, error) {
	r := &http.Request{Header: http.Header{"Cookie": {name + "=" + value}}}
	if c, err := r.Cookie(name); err != nil || c.Value != value && `"`+c.Value+`"` != value {
		r.Header = nil
	}
	return found(ratelimit.ByCookie(name), r, "cookie", name)
}

func found(by ratelimit.Keyer, r *http.Request, what, name string) (ratelimit.Key, error) {
	k, err := by.Key(r)
	if err != nil {
		return k, fmt.Errorf("support: %s %q with this value: no request can have it", what, name)
	}
	return k, nil
}

// A Standing is how a key stands with one rule or budget.
type Standing struct {
	// Rule is the name of the rule.
	Rule string
	// Decision is what the rule would decide about one more token. Its Limit is the limit of the
	// key's own plan (LimitsFor). If the key has no limit, Limit is zero. If Err is not nil, it is
	// the zero Decision.
	Decision ratelimit.Decision
	// InFlight is how many requests of the key are in flight in this process, and MaxInFlight how
	// many may be. Both are zero if the rule does not bound them, and if Decision has a Limit.
	InFlight, MaxInFlight int64
	// CanBlock reports that the rule can block keys, because it has a Block.
	CanBlock bool
	// Blocked is the block of the key, as far as this process knows. Its Rule is empty without one.
	// If only the store knows of a block, Decision has [ratelimit.ReasonBlocked].
	Blocked ratelimit.Blocked
	// Err is why nothing is known: see [ratelimit.Limiter.Peek].
	Err error
}

// String returns s as a line for people, such as "plan: 94 left of 100 per hour".
func (s Standing) String() string {
	d, text := &s.Decision, ""
	switch {
	case s.Err != nil:
		text = s.Err.Error()
	case s.Blocked.Rule != "":
		text = "blocked until " + s.Blocked.Until.Format(time.RFC3339)
	case d.StoreErr != nil && !d.Local:
		text = "unknown, because the store has failed"
	case s.MaxInFlight > 0:
		text = fmt.Sprintf("%d of %d in flight", s.InFlight, s.MaxInFlight)
	case d.Limit == ratelimit.Limit{}:
		text = "no limit"
	default:
		text = fmt.Sprintf("%d left of %v", d.Remaining, d.Limit)
		if d.RetryAfter > 0 {
			up := d.RetryAfter + time.Second - 1
			text += fmt.Sprintf(", denied for %v", up.Truncate(time.Second))
		}
	}
	return s.Rule + ": " + text
}

// Find returns how k stands with every rule and budget of l, by name. It takes no token. Rules that
// count another kind of key have nothing spent. It takes one call of the store for each rule, and
// stops when ctx ends.
func Find(ctx context.Context, l *ratelimit.Limiter, k ratelimit.Key) []Standing {
	blocks := map[string]ratelimit.Blocked{}
	for _, b := range l.Blocked(k) {
		blocks[b.Rule] = b
	}
	var all []Standing
	for _, r := range l.Stats().Rules {
		s := Standing{Rule: r.Name, CanBlock: r.CanBlock, Blocked: blocks[r.Name], Err: ctx.Err()}
		if s.Err == nil {
			s.Decision, s.Err = l.Peek(ctx, r.Name, k)
		}
		d := &s.Decision
		if r.MaxInFlight > 0 && s.Err == nil && d.Reason == "" && d.Limit == (ratelimit.Limit{}) {
			s.MaxInFlight, s.InFlight = r.MaxInFlight, max(r.MaxInFlight-d.Remaining, 0)
		}
		if s.Decision.Reason == ratelimit.ReasonBlocked && s.Blocked.Rule == "" {
			until := time.Now().Add(s.Decision.RetryAfter)
			s.Blocked = ratelimit.Blocked{Rule: r.Name, Key: k, Until: until}
		}
		all = append(all, s)
	}
	return all
}

// Reset makes all buckets of k full, under every rule and budget of l, and ends its blocks. The
// error joins the errors of [ratelimit.Limiter.Reset]. The other rules are reset even so.
func Reset(ctx context.Context, l *ratelimit.Limiter, k ratelimit.Key) error {
	var failed []error
	for _, r := range l.Stats().Rules {
		failed = append(failed, l.Reset(ctx, r.Name, k))
	}
	return errors.Join(failed...)
}

// Unblock ends the blocks of k under every rule of l. What the limits have counted stays. The error
// joins the errors of [ratelimit.Limiter.Unblock], and of a store that does not tell whether k is
// blocked under a rule.
func Unblock(ctx context.Context, l *ratelimit.Limiter, k ratelimit.Key) error {
	var failed []error
	for _, s := range Find(ctx, l, k) {
		switch {
		case s.Err != nil:
			failed = append(failed, s.Err)
		case s.Blocked.Rule != "":
			failed = append(failed, l.Unblock(ctx, s.Rule, k))
		case s.CanBlock && s.Decision.StoreErr != nil: // the store may have a block
			failed = append(failed, fmt.Errorf("rule %q: %w", s.Rule, s.Decision.StoreErr))
		}
	}
	return errors.Join(failed...)
}
