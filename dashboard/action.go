package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/mode"
	"github.com/ratelimit-go/ratelimit/support"
)

// Bounds of an action.
const (
	actionTime = 20 * time.Second // for all rules together
	maxWho     = 128
)

// actionOf reads an action from a form.
func (p *Page) actionOf(r *http.Request) (a Action, err error) {
	a = Action{Kind: r.PostFormValue("action"), Rule: r.PostFormValue("rule")}
	switch a.Kind {
	case "unblock", "reset":
		err = a.readKey(r)
	case "block":
		if err = a.readKey(r); err == nil {
			a.For, err = blockTime(r.PostFormValue("for"))
		}
	case "mode":
		a.Mode = ratelimit.Mode(r.PostFormValue("mode"))
		if _, _, ok := mode.Parse(string(a.Mode)); !ok {
			err = errors.New("there is no such mode")
		}
	case "unlock":
		form, addr, err := p.accountOf(r)
		a.Rule, a.Guard, a.Account, a.Addr = "", form.Guard, form.Account, addr
		return a, err
	default:
		err = errors.New("there is no such action")
	}
	if err == nil && !a.every() {
		err = p.checkRule(&a)
	}
	return a, err
}

// blockTime reads how long a block lasts.
func blockTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > 365*24*time.Hour {
		return 0, errors.New("the time of a block is from a second to a year, such as 24h")
	}
	return d, nil
}

// checkRule returns why the rule of a does not allow it.
func (p *Page) checkRule(a *Action) error {
	r, ok := p.rule(a.Rule)
	switch {
	case !ok:
		return errors.New("there is no rule of this name")
	case !r.CanBlock && (a.Kind == "block" || a.Kind == "unblock"):
		return errors.New("this rule blocks no key, because it has no Block")
	}
	return nil
}

func (a *Action) readKey(r *http.Request) (err error) {
	if a.Key, err = ratelimit.ParseKey(r.PostFormValue("key")); err == nil && a.Key.IsZero() {
		err = errors.New("no key")
	}
	return err
}

// do does a.
func (p *Page) do(ctx context.Context, a *Action) error {
	ctx, cancel := context.WithTimeout(ctx, actionTime)
	defer cancel()
	switch a.Kind {
	case "unblock":
		if a.Rule == "" {
			return support.Unblock(ctx, p.limiter, a.Key)
		}
		return p.limiter.Unblock(ctx, a.Rule, a.Key)
	case "reset":
		if a.Rule == "" {
			return support.Reset(ctx, p.limiter, a.Key)
		}
		return p.limiter.Reset(ctx, a.Rule, a.Key)
	case "block":
		return p.limiter.Block(ctx, a.Rule, a.Key, a.For)
	case "mode":
		return p.limiter.SetMode(a.Rule, a.Mode)
	}
	return p.cfg.Logins[a.Guard].Unlock(ctx, a.Account, a.addrs()...)
}

// record tells Config.Audit of a, and the users of the page. A user who leaves ends the context of
// the request. The record must not fail by that.
func (p *Page) record(ctx context.Context, a Action) {
	ctx = context.WithoutCancel(ctx)
	level, text := "info", a.Who+": "+a.text()
	if a.Err != nil {
		level, text = "warn", text+": failed: "+a.Err.Error()
	}
	p.watch.events.add(event{at: a.At, level: level, text: text, rule: a.Rule, key: a.Key})
	defer p.recovered("Audit", func() {})
	if p.cfg.Audit != nil {
		p.cfg.Audit(ctx, a)
		return
	}
	slog.InfoContext(ctx, "ratelimit: action on the page", "who", a.Who, "action", a.Kind, "rule", a.Rule,
		"key", a.Key, "for", a.For, "mode", string(a.Mode), "login", a.Guard, "account", a.Account,
		"addrs", a.addrs(), "error", a.Err)
}

// text says what a does. The rule and the key are shown beside it.
func (a *Action) text() string {
	switch a.Kind {
	case "unblock":
		return "unblock"
	case "reset":
		return "reset: full buckets, and no block"
	case "block":
		return "block for " + length(a.For)
	case "mode":
		if a.Mode == "" {
			return "set the mode of the configuration"
		}
		return "set the mode " + string(a.Mode)
	}
	return "unlock an account of the login " + a.Guard
}

// addrs returns the address of an "unlock", if any.
func (a *Action) addrs() []netip.Addr {
	if !a.Addr.IsValid() {
		return nil
	}
	return []netip.Addr{a.Addr}
}

// every reports whether a is under every rule.
func (a *Action) every() bool { return a.Rule == "" && (a.Kind == "unblock" || a.Kind == "reset") }

// fields returns the fields of the form of a.
func (a *Action) fields() []field {
	list := []field{{"action", a.Kind}, {"rule", a.Rule}}
	switch a.Kind {
	case "unblock", "reset", "block":
		list = append(list, field{"key", a.Key.String()})
	case "mode":
		list = append(list, field{"mode", string(a.Mode)})
	case "unlock":
		list = append(list, field{"guard", a.Guard}, field{"account", a.Account})
		for _, addr := range a.addrs() {
			list = append(list, field{"addr", addr.String()})
		}
	}
	if a.Kind == "block" {
		list = append(list, field{"for", a.For.String()})
	}
	return list
}

// field is a hidden field of a form.
type field struct{ Name, Value string }
