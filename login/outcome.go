package login

import (
	"context"

	"github.com/ratelimit-go/ratelimit"
)

// Succeeded tells the guards around a handler that the password of account was right. Call it with
// the context of the request, before the handler returns. A success that was reported needs no
// [Config].Succeeded, and stands even if the response is written outside of the guard.
//
// The account is the account that the handler has found. If it is empty, the account of [Found] or
// else the account of the request counts. Succeeded does nothing for a request that is no attempt:
// see [Guard.Handler].
func Succeeded(ctx context.Context, account string) {
	for a := attemptIn(ctx); a != nil; a = a.outer {
		a.mu.Lock()
		if a.none && !a.ended {
			a.cfg.watch.noAttempt.Store(true)
		} else if a.wasRead && !a.ended {
			a.reported = true
			a.name(accountKey(account))
		}
		a.mu.Unlock()
	}
}

// name notes the account that the handler has found, unless it is zero.
func (a *attempt) name(key ratelimit.Key) {
	if !key.IsZero() {
		a.foundKey = key
	}
}

// failed reports whether a response answers a failed attempt. The first call decides, and notes a
// success. If a function of the Config panics, the attempt has failed, and the limiter reports the
// panic, because only the first call panics.
func (a *attempt) failed(cfg *settings, res ratelimit.Response) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.judged {
		return a.outcome == failure
	}
	a.judged, a.outcome = true, failure // unless the end of judge is reached
	a.outcome = a.judge(cfg, res)
	return a.outcome == failure
}

// An outcome is what an attempt turned out to be.
type outcome int

const (
	failure outcome = iota
	success
	neither
)

// judge decides what a response says. A response that was not seen, or not seen to its end, is a
// failure. If the client has left, a handler that notices may answer anything.
func (a *attempt) judge(cfg *settings, res ratelimit.Response) outcome {
	seen := res.Status != 0 && !res.Panicked && !res.Hijacked
	mute := a.mute || res.Request.PostForm["_method"] != nil || res.Request.Context().Err() != nil
	res.Header = without(res.Header, a.before)
	switch {
	case a.reported:
		return success
	case !seen:
		return failure
	case cfg.Failed != nil && call("Failed", func() bool { return cfg.Failed(res) }):
		return failure
	case cfg.Succeeded != nil && !mute && call("Succeeded", func() bool { return cfg.Succeeded(res) }):
		return success
	case cfg.Failed != nil:
		return neither
	}
	return failure
}
