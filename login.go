package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Login is what [Limiter.Login] protects a login route with: limits on failed attempts for each
// account, for each address, for each pair of both, and in total. Only failures count.
//
//	attack                      stopped by
//	one address, one account    the pair: PerPair failures, then a block that doubles each time
//	many addresses, one account the account: PerAccount failures from addresses it has never been used from
//	one address, many accounts  the address: PerAddress failures, whatever the accounts
//	many addresses and accounts the total: Total failures from such addresses, for the whole service
//
// A successful login clears the counters of its account and of its pair, and from then on the pair
// is known for Remember: only its own limit applies to it. So strangers can use up what others
// may try on an account or from an address, but cannot lock an owner out of where the
// account has been used before. The address's counter is not cleared, or an attacker with
// one account could clear it by logging in.
//
// See the OWASP Authentication Cheat Sheet and NIST SP 800-63B, section 3.2.2, which asks for at
// most 100 failures in a row on one account.
type Login struct {
	_ [0]func()

	// Name begins the names of the rules: NAME-account, NAME-address, NAME-pair, NAME-total and
	// NAME-known. Empty means "login".
	Name string
	// Account returns the account that the client tries to use, as it was typed. [FormField] and
	// [JSONField] will do. Case and space around it do not count. All attempts for which it
	// is "" count as attempts on one more account, so hiding it is no way around the limits; a
	// success of one of them clears nothing, and is not remembered.
	Account func(r *http.Request) string
	// Address says where the client is. The zero value is [ByRemoteIP].
	Address ClientIP
	// Failed reports whether the response is that to a failed attempt. Nil means status 401 or 403.
	Failed func(Response) bool
	// Succeeded reports whether it is that to a successful one. It is not asked if the client has
	// left. Nil means a status below 400: a handler that answers a failure with a redirect needs a
	// Failed and a Succeeded. A response that is neither, as to a form that was not filled in,
	// counts nowhere.
	Succeeded func(Response) bool

	// PerPair, PerAccount, PerAddress and Total are the limits on failures. Empty means "5 per 15
	// minutes", "20 per hour", "50 per hour" and "600 per 10 minutes". A burst is checked at once:
	// where checking a password is slow, choose a Total with a smaller one, as in
	// "600 per 10 minutes burst 50".
	PerPair, PerAccount, PerAddress, Total Limits
	// Penalty is for pairs that go on failing, or asking while they are refused. Nil means a block
	// of 15 minutes for every 10 such attempts within an hour, twice as long each time, up to a
	// day. [Limiter.Unblock] with NAME-pair lifts one.
	Penalty *Penalty
	// Remember is how long a pair is known after a success. Zero means 30 days.
	Remember time.Duration
	// OnStoreFailure is that of all the rules. Zero means what Config.OnStoreFailure says. With
	// [FailOpen] passwords can be guessed for as long as the Store is away; with [FailClosed]
	// nobody can log in.
	OnStoreFailure FailurePolicy
	// Mode is that of all the rules.
	Mode Mode
}

// Login returns a decorator for the handler of a login route. It panics if login has mistakes,
// as [Limiter.With] does. One decorator may be given several handlers, which share its limits.
// It is for the route that checks passwords, as "POST /login", and not for the form.
//
// A failed attempt takes three calls of the Store: to look whether its pair is known, to decide, and to
// count the failure against Penalty. One that succeeds takes four, of which the last two, after the handler, give back
// what was reserved and clear what the success makes good. A refused one takes three, and none once its pair
// is blocked. All counting is in the Store, and so for all instances.
func (l *Limiter) Login(login Login) func(http.Handler) http.Handler {
	g, rules, err := newLoginGuard(l, login)
	if err != nil {
		panic(err.Error())
	}
	compiled, err := l.decorate(rules)
	if err != nil {
		panic(err.Error())
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l.unruled(w, r, next, l.table.Load()) {
				return
			}
			a := &attempt{ctx: r.Context(), account: NamedKey("account", "none")}
			// Account may put another Body in the place of the request's. net/http looks at that of r.
			given := r.WithContext(context.WithValue(r.Context(), attemptKey{}, a))
			g.read(a, given)
			defer g.done(a)
			l.serve(w, given, next, compiled, nil)
			handBack(r, given)
		})
	}
}

// A loginGuard is a compiled Login.
type loginGuard struct {
	l       *Limiter
	login   Login
	known   *NamedLimit // full unless a pair is known
	account string      // names of rules
	pair    string
}

// An attempt is one request to a login route. It is in the request's context, from which the
// rules read whom to count.
type attempt struct {
	ctx                    context.Context
	account, address, pair Key
	named                  bool // the account is somebody's
	known                  bool
	succeeded              bool
}

type attemptKey struct{}

func attemptOf(r *http.Request) *attempt {
	a, _ := r.Context().Value(attemptKey{}).(*attempt)
	if a == nil {
		return new(attempt)
	}
	return a
}

func newLoginGuard(l *Limiter, login Login) (*loginGuard, []Rule, error) {
	name := login.Name
	if name == "" {
		name = "login"
	}
	var m mistakes
	if login.Account == nil {
		m.add("Login.Account", errors.New(`nil: want a function, such as FormField("email")`))
	}
	for _, err := range login.Address.check() {
		m.add("Login.Address", err)
	}
	if login.Remember < 0 || login.Remember > year {
		m.addf("Login.Remember", "%v: want at most a year, or 0 for 30 days", login.Remember)
	}
	if len(m) > 0 {
		return nil, nil, errors.Join(m...)
	}
	if login.Remember == 0 {
		login.Remember = 30 * 24 * time.Hour
	}
	if login.Failed == nil {
		login.Failed = func(res Response) bool {
			return res.Status == http.StatusUnauthorized || res.Status == http.StatusForbidden
		}
	}
	if login.Succeeded == nil {
		login.Succeeded = func(res Response) bool { return res.Status < 400 && !res.Panicked }
	}
	known, err := NameLimit(name+"-known", 0, Limit{Count: 1, Period: login.Remember})
	if err != nil {
		return nil, nil, &ConfigError{"Login.Remember", err}
	}
	known.onFailure = cmp.Or(login.OnStoreFailure, l.cfg.OnStoreFailure)
	g := &loginGuard{l: l, login: login, known: known, account: name + "-account", pair: name + "-pair"}
	return g, g.rules(name), nil
}

// rules returns the rules of g. The pair comes first, so that of equal waits its own is told.
func (g *loginGuard) rules(name string) []Rule {
	limits := func(ls Limits, text string) Limits {
		if len(ls) > 0 {
			return slices.Clone(ls)
		}
		return MustParse(text)
	}
	key := func(of func(*attempt) Key) Keyer {
		return KeyFunc(func(r *http.Request) (Key, error) { return found(of(attemptOf(r))) })
	}
	failures, every := ChargeIf(g.login.Failed), g.chargeFailures
	penalty := g.login.Penalty
	if penalty == nil {
		penalty = &Penalty{After: PerHour(10), For: 15 * time.Minute, Max: day, Offence: g.login.Failed}
	}
	known := func(r *http.Request) bool { return attemptOf(r).known }
	everybody := NamedKey("constant", name)
	rules := []Rule{
		{
			Name: g.pair, Limits: limits(g.login.PerPair, "5 per 15 minutes"),
			Key: key(func(a *attempt) Key { return a.pair }), Unidentified: SkipUnidentified, Charge: every, Penalty: penalty,
		},
		{
			Name: g.account, Limits: limits(g.login.PerAccount, "20 per hour"), Skip: known,
			Key: key(func(a *attempt) Key { return a.account }), Unidentified: SkipUnidentified, Charge: failures, Hidden: true,
		},
		{
			Name: name + "-address", Limits: limits(g.login.PerAddress, "50 per hour"), Skip: known,
			Key: key(func(a *attempt) Key { return a.address }), Charge: every,
		},
		{
			Name: name + "-total", Limits: limits(g.login.Total, "600 per 10 minutes"), Skip: known,
			Key: key(func(*attempt) Key { return everybody }), Charge: failures, Hidden: true,
		},
	}
	for i := range rules {
		rules[i].Mode, rules[i].OnStoreFailure = g.login.Mode, g.login.OnStoreFailure
	}
	return rules
}

// chargeFailures charges failures, and notes a success. Of the rules that it is for, one at least
// applies to every attempt. Where the client is gone there is no success: a handler that
// sees it may return without an answer, which looks like status 200.
func (g *loginGuard) chargeFailures(res Response) int64 {
	if g.login.Failed(res) {
		return res.Cost
	}
	attemptOf(res.Request).succeeded = res.Request.Context().Err() == nil && g.login.Succeeded(res)
	return 0
}

// read reads who tries to log in, and looks whether the pair is known.
func (g *loginGuard) read(a *attempt, r *http.Request) {
	g.l.guard(r, "Login: Account", func() error {
		if name := strings.ToLower(strings.TrimSpace(g.login.Account(r))); name != "" {
			a.account, a.named = UserKey(name), true
		}
		return nil
	})
	g.l.guard(r, "Login: Address", func() error {
		key, err := g.login.Address.Key(r)
		if a.address = key; errors.Is(err, ErrNoIdentity) {
			return nil
		}
		return err
	})
	a.pair = JoinKeys(a.account, a.address)
	a.known = !a.pair.IsZero() && a.named && g.isKnown(a)
}

// done remembers a success, and clears what failures it makes good. Of attempts whose account is not
// known it makes none good: anybody with an account of his own could hide it, and so
// clear the counters of his guesses at others.
func (g *loginGuard) done(a *attempt) {
	if !a.succeeded || !a.named {
		return
	}
	l := g.l
	c := l.getCheck()
	defer l.putCheck(c)
	c.add(l.rule(g.account).plan, a.account, 0, OpReset)
	if !a.pair.IsZero() {
		pair := l.rule(g.pair)
		c.add(pair.plan, a.pair, 0, OpReset)
		c.ops = pair.penalty.resets(c.ops, a.pair)
		defer l.blocks.lift(pair.offender(a.pair))
		c.ops = append(c.ops, Op{Kind: OpReset, Limit: g.known, Key: a.pair}, Op{Kind: OpTake, Limit: g.known, Key: a.pair, Cost: 1})
	}
	_ = l.apply(a.ctx, c) // reported there
}

// isKnown asks the store whether the pair of a is known.
func (g *loginGuard) isKnown(a *attempt) bool {
	l := g.l
	if pair := l.rule(g.pair); pair.enforces(pair.mode(), a.pair) && l.blocks.holds(pair.offender(a.pair)) {
		return false // it is refused whether it is known or not
	}
	c := l.getCheck()
	defer l.putCheck(c)
	c.ops = append(c.ops, Op{Kind: OpPeek, Limit: g.known, Key: a.pair, Cost: 1})
	if err := l.apply(a.ctx, c); err != nil || c.failed != 0 {
		return false
	}
	return !c.ops[0].Result.Allowed && !c.ops[0].Result.Overflow
}
