package login

import (
	"errors"
	"sync/atomic"
)

// How many attempts show that a handler never says what the Guard looks for.
const (
	manyAttempts = 100
	manyNameless = 20
	manyOthers   = 20
)

// The problems, and what to write.
const (
	noneReported = "login.Succeeded: none of the first 100 attempts has succeeded, so no failure is " +
		"ever cleared: call login.Succeeded(r.Context(), account) where the handler has found the " +
		"right password, or set Config.Succeeded"
	noneSucceeded = "login.Succeeded: Config.Succeeded was false for the first 100 attempts, so no " +
		"failure is ever cleared: want what the handler answers to a right password, such as status " +
		"303 with a Set-Cookie field, and send passwords by POST"
	noneFailed = "login.Failed: Config.Failed was false for the first 100 attempts, so no attempt " +
		"counts: want what the handler answers to a wrong password, or nil for every response that " +
		"is no success"
	allSucceeded = "login.Succeeded: each of the first 100 attempts has succeeded: want false for the " +
		"response to a wrong password, such as by looking for a Set-Cookie field"
	nameless = "login.Account: attempts have no account, even one that succeeded or all of the first " +
		"20: want the name of the field in the form, such as FormField(\"email\"), or in the JSON " +
		"object, and the Content-Type of the body"
	otherAccounts = "login.Account: each of the first 20 successes was reported for another account than " +
		"Config.Account finds, so the failures of that account are never cleared: want the field that " +
		"the handler looks up, or call login.Found(r.Context(), account) before it checks a password"
	unseenAttempts = "login.Succeeded: a request without a query, a body and credentials has " +
		"succeeded, so its failures do not count: send passwords by POST"
)

// A watch looks for signs of a wrong configuration in the attempts under one [Config].
type watch struct {
	named, nameless                   atomic.Int64 // attempts
	successes, failures, neither      atomic.Int64
	namedSuccesses, namelessSuccesses atomic.Int64
	others                            atomic.Int64 // successes for another account, without Found
	noAttempt                         atomic.Bool  // a request that is no attempt has succeeded
	told                              [7]atomic.Bool
}

// read notes an attempt.
func (w *watch) read(named bool) {
	if named {
		w.named.Add(1)
	} else {
		w.nameless.Add(1)
	}
}

// judged notes what an attempt turned out to be.
func (w *watch) judged(a *attempt) {
	switch {
	case a.outcome == failure:
		w.failures.Add(1)
	case a.outcome == neither:
		w.neither.Add(1)
	case a.named || !a.foundKey.IsZero():
		w.successes.Add(1)
		w.namedSuccesses.Add(1)
		if a.named && !a.foundKey.IsZero() && a.foundKey != a.account && !a.hasFound(a.foundKey) {
			w.others.Add(1)
		}
	default:
		w.successes.Add(1)
		w.namelessSuccesses.Add(1)
	}
}

// findsNoAccounts reports whether attempts succeed and Account has never found the account of a
// success. Then Account is wrong, and the limit that all attempts without an account share would
// deny right passwords.
func (w *watch) findsNoAccounts() bool {
	return w.namelessSuccesses.Load() > 0 && w.namedSuccesses.Load() == 0
}

// problems returns the problems that were not told before, joined, or nil.
func (w *watch) problems(cfg *Config) error {
	successes, failures := w.successes.Load(), w.failures.Load()
	attempts := successes + failures + w.neither.Load()
	many := attempts >= manyAttempts
	var errs []error
	for i, p := range [...]struct {
		is   bool
		text string
	}{
		{many && successes == 0 && cfg.Succeeded == nil, noneReported},
		{many && successes == 0 && cfg.Succeeded != nil, noneSucceeded},
		{many && failures == 0 && successes < attempts, noneFailed},
		{many && successes == attempts, allSucceeded},
		{
			w.namelessSuccesses.Load() > 0 || w.named.Load() == 0 && w.nameless.Load() >= manyNameless,
			nameless,
		},
		{w.others.Load() >= manyOthers && w.others.Load() == w.namedSuccesses.Load(), otherAccounts},
		{w.noAttempt.Load(), unseenAttempts},
	} {
		if p.is && !w.told[i].Swap(true) {
			errs = append(errs, errors.New(p.text))
		}
	}
	return errors.Join(errs...)
}
