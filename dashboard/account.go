package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/support"
)

// maxAccount is how many bytes an account may have: an address of e-mail.
const maxAccount = 320

// accountForm is the account that a user looks up, and the address of its owner, if that is known.
type accountForm struct{ Guard, Account, Addr string }

// accountResult is what a login knows of an account.
type accountResult struct {
	Account, Err string
	Rows         []accountRow
}

// accountRow is one limit on failed logins.
type accountRow struct {
	What  string
	Who   who // the client, if the row is about one
	Known bool
	standing
}

// accountOf reads an account from a form. Spaces around it do not count.
func (p *Page) accountOf(r *http.Request) (f accountForm, addr netip.Addr, err error) {
	text := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	f = accountForm{text("guard"), text("account"), text("addr")}
	switch {
	case p.cfg.Logins[f.Guard] == nil:
		return f, addr, errors.New("there is no login of this name")
	case f.Account == "" || len(f.Account) > maxAccount:
		return f, addr, fmt.Errorf("an account has 1 to %d bytes", maxAccount)
	case f.Addr == "":
		return f, addr, nil
	}
	if addr, err = netip.ParseAddr(f.Addr); err != nil {
		err = notAnAddress(f.Addr)
	}
	return f, addr, err
}

// serveAccount shows what a login knows of an account. It is a POST, as a search is.
func (p *Page) serveAccount(w http.ResponseWriter, r *http.Request) {
	l := p.layout("Look up an account")
	l.Act = p.mayAct(r)
	form, addr, err := p.accountOf(r)
	status := http.StatusOK
	if err != nil {
		l.Failures, status = &accountResult{Err: clean(err.Error(), 300)}, http.StatusBadRequest
	} else {
		l.Failures = p.failures(r.Context(), &form, addr)
	}
	l.Account, l.Failures.Account = form, clean(form.Account, maxAccount)
	write(w, status, "account", l)
}

// failures looks an account up. If addr is valid, it also looks up the limits of that address.
func (p *Page) failures(ctx context.Context, form *accountForm, addr netip.Addr) *accountResult {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	guard, result := p.cfg.Logins[form.Guard], new(accountResult)
	all, err := guard.AccountState(ctx, form.Account)
	result.add(p, "this account, from anywhere", &all.Account)
	var here login.State
	if err == nil && addr.IsValid() {
		here, err = guard.State(ctx, form.Account, addr)
		result.add(p, "this account, from this address", &here.Pair)
		result.last().Who, result.last().Known = p.who(support.AddrKey(p.limiter, addr)), here.Known
		result.add(p, "any account, from this address", &here.Address)
		result.add(p, "any account, from its network", &here.Network)
	}
	result.add(p, "any account, from anywhere", &all.Total)
	for i := range all.Pairs {
		pair := &all.Pairs[i]
		if pair.Pair.Key == here.Pair.Key {
			continue // it has a row
		}
		what := "this account, from an address that failed"
		if pair.CrossSite {
			what += ", by a page of another site"
		}
		result.add(p, what, &pair.Pair)
		result.last().Who, result.last().Known = p.who(pair.Client), pair.Known
	}
	if err != nil {
		return &accountResult{Err: clean(err.Error(), 300)}
	}
	return result
}

// add adds a row for a limit.
func (a *accountResult) add(p *Page, what string, d *ratelimit.Decision) {
	s := p.standingOf(&support.Standing{Rule: d.Rule, Decision: *d})
	if d.Reason == ratelimit.ReasonBlocked {
		now := time.Now()
		s.block(ratelimit.Blocked{Until: now.Add(d.RetryAfter)}, now)
	}
	a.Rows = append(a.Rows, accountRow{What: what, standing: s})
}

func (a *accountResult) last() *accountRow { return &a.Rows[len(a.Rows)-1] }
