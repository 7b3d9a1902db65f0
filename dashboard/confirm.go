package dashboard

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// tokenTime is how long the second step of an action may take.
const tokenTime = 10 * time.Minute

// confirmation is the second step of an action.
type confirmation struct {
	Text, Rule, Note, User string
	Account, Addr          string
	Who                    who
	Every                  bool
	Fields                 []field
	Danger                 bool
}

// mayAct reports whether the sender of r may act.
func (p *Page) mayAct(r *http.Request) bool { return p.ask("MayAct", p.cfg.MayAct, r) }

// user returns the name of the sender of r.
func (p *Page) user(r *http.Request) (name string) {
	defer p.recovered("Who", func() { name = "" })
	return clean(p.cfg.Who(r), maxWho)
}

// acting returns the action of r and who asks for it. If r may not act or its form is not valid,
// acting answers it and returns false.
func (p *Page) acting(w http.ResponseWriter, r *http.Request) (a Action, ok bool) {
	if !p.mayAct(r) {
		p.fail(w, r, http.StatusForbidden, "You may not change anything here.")
		return a, false
	}
	user := p.user(r)
	if user == "" {
		p.fail(w, r, http.StatusForbidden, "The service does not know who you are.")
		return a, false
	}
	a, err := p.actionOf(r)
	if err != nil {
		p.fail(w, r, http.StatusBadRequest, sentence(err))
		return a, false
	}
	a.Who = user
	return a, true
}

// serveConfirm is the first step of an action: it shows what would be done, and does nothing.
func (p *Page) serveConfirm(w http.ResponseWriter, r *http.Request) {
	a, ok := p.acting(w, r)
	if !ok {
		return
	}
	l := p.layout("Confirm")
	l.Confirm = p.about(&a)
	l.Confirm.Text, l.Confirm.User = a.text(), a.Who
	l.Confirm.Fields = append(a.fields(), field{"token", p.token(a, time.Now().Add(tokenTime))})
	l.Confirm.Danger = a.Kind == "block" || a.Kind == "mode"
	switch a.Kind {
	case "mode":
		l.Confirm.Note = "The mode changes in this process only, from the next request on."
	case "unblock", "reset":
		l.Confirm.Note = "Other instances learn of the end of a block within 10 seconds."
	}
	write(w, http.StatusOK, "confirm", l)
}

// serveAct is the second step of an action.
func (p *Page) serveAct(w http.ResponseWriter, r *http.Request) {
	a, ok := p.acting(w, r)
	if !ok {
		return
	}
	if err := p.checkToken(a, r.PostFormValue("token"), time.Now()); err != nil {
		p.fail(w, r, http.StatusForbidden, sentence(err))
		return
	}
	a.At = time.Now()
	a.Err = p.do(r.Context(), &a)
	p.record(r.Context(), a)
	p.renew()
	l := p.layout("Done")
	l.Text, l.Level = a.text(), "info"
	l.Confirm = p.about(&a)
	status := http.StatusOK
	if a.Err != nil {
		l.Heading, l.Level, status = "The action has failed", "bad", http.StatusInternalServerError
		l.Text = a.text() + ": " + clean(a.Err.Error(), 1000)
	}
	write(w, status, "message", l)
}

// about says what a is about.
func (p *Page) about(a *Action) *confirmation {
	c := &confirmation{Rule: a.Rule, Who: p.who(a.Key), Every: a.every()}
	c.Account = clean(a.Account, maxAccount)
	if a.Addr.IsValid() {
		c.Addr = a.Addr.String()
	}
	return c
}

// sentence returns the text of an error as a sentence for people.
func sentence(err error) string {
	text := strings.TrimPrefix(clean(err.Error(), 300), "ratelimit: ")
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[n:] + ". Nothing was done."
}

// token returns a proof that the page has shown a to its user. It is valid until end.
func (p *Page) token(a Action, end time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(end.Unix()))
	return hex.EncodeToString(append(b, p.mac(a, b)...))
}

// mac authenticates all parts of an action. Each part has its length before it.
func (p *Page) mac(a Action, end []byte) []byte {
	h := hmac.New(sha256.New, p.secret[:])
	part := func(text string) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		_, _ = h.Write([]byte(text))
	}
	part(string(end))
	part(a.Who)
	for _, f := range a.fields() {
		part(f.Name)
		part(f.Value)
	}
	return h.Sum(nil)
}

func (p *Page) checkToken(a Action, text string, now time.Time) error {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 8+sha256.Size || !hmac.Equal(b[8:], p.mac(a, b[:8])) {
		return errors.New("the form is not valid. It may come from another instance or user: begin again")
	}
	if uint64(now.Unix()) > binary.BigEndian.Uint64(b) {
		return errors.New("the form is more than 10 minutes old: begin again")
	}
	return nil
}
