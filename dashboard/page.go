package dashboard

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// A Page is the live page of one limiter. Make it with [New]. It is an [http.Handler], safe for
// concurrent use.
type Page struct {
	limiter   *ratelimit.Limiter
	cfg       Config
	watch     *watch
	labels    labels
	blocks    blocksCache
	frames    [2]frames // without actions, with actions
	streams   streams
	sampling  sync.Mutex
	start     time.Time
	secret    [32]byte // of the tokens of this process
	crossSite *http.CrossOriginProtection
	stop      func()
}

// New returns the page of limiter. It observes the limiter from now on, so make it at start-up. If
// cfg is invalid, the error joins a [*ratelimit.ConfigError] for every mistake, with fields such as
// "dashboard.Authorize".
func New(limiter *ratelimit.Limiter, cfg Config) (*Page, error) {
	if err := cfg.check(limiter); err != nil {
		return nil, err
	}
	cfg.Title = cmp.Or(clean(cfg.Title, maxTitle), "Limits")
	cfg.MaxStreams = cmp.Or(cfg.MaxStreams, defaultStreams)
	p := &Page{limiter: limiter, cfg: cfg, crossSite: http.NewCrossOriginProtection(), start: time.Now()}
	p.watch = newWatch(limiter)
	_, _ = rand.Read(p.secret[:]) // never fails
	p.streams.init(cfg.MaxStreams)
	p.watch.sample = p.sample
	p.sample(time.Now(), nil)
	p.stop = limiter.Observe(p.watch.hooks())
	return p, nil
}

// Close ends all streams and stops observing the limiter. Without it, open pages hold up
// [http.Server.Shutdown] for up to five minutes: give it to [http.Server.RegisterOnShutdown]. A
// closed Page shows what it has seen.
func (p *Page) Close() {
	p.stop()
	p.streams.close()
}

// Label makes the page show text beside k, if k is a hash, as for header fields, cookies and long
// names. Labels of other keys are ignored. The page keeps the 5,000 last labels at least, and 128
// bytes of each. Do not use what is secret as a label: use the name of an API key, not the key.
// Without a label, the page shows what [ratelimit.Limiter.Label] returns.
func (p *Page) Label(k ratelimit.Key, text string) {
	if text != "" && strings.Contains(k.String(), "#") {
		p.labels.set(k, text)
	}
}

// sample adds the counters of the limiter to the history. The decision that has caused the sample,
// if any, has added first to them.
func (p *Page) sample(now time.Time, first []ruled) {
	if !p.sampling.TryLock() {
		return // another call takes the same sample
	}
	defer p.sampling.Unlock()
	for _, e := range p.watch.history.add(now, p.limiter.Stats(), p.watch.total(), first...) {
		p.watch.events.add(e)
	}
}

// ServeHTTP answers a request for the page or one of its parts. The last element of the path says
// which, so the page works under any prefix.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if !p.ask("Authorize", p.cfg.Authorize, r) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	part, ok := parts[name]
	if !ok {
		p.fail(w, r, http.StatusNotFound, "There is no such page. Its path ends with a slash.")
		return
	}
	if r.Method != part.method && (part.method != http.MethodGet || r.Method != http.MethodHead) {
		w.Header().Set("Allow", part.method)
		p.fail(w, r, http.StatusMethodNotAllowed, "Use "+part.method+" for this page.")
		return
	}
	if part.method == http.MethodPost && !p.readForm(w, r) {
		return
	}
	part.serve(p, w, r)
}

// parts are the parts of the page, by the last element of their path.
var parts map[string]part

type part struct {
	method string
	serve  func(p *Page, w http.ResponseWriter, r *http.Request)
}

func init() {
	parts = map[string]part{
		"":        {http.MethodGet, (*Page).serveSnapshot},
		"events":  {http.MethodGet, (*Page).serveStream},
		"find":    {http.MethodPost, (*Page).serveFind},
		"account": {http.MethodPost, (*Page).serveAccount},
		"confirm": {http.MethodPost, (*Page).serveConfirm},
		"act":     {http.MethodPost, (*Page).serveAct},
	}
	for name := range assets {
		serve := func(_ *Page, w http.ResponseWriter, _ *http.Request) { serveAsset(w, name) }
		parts[name] = part{http.MethodGet, serve}
	}
}

// maxForm is how many bytes a form may have.
const maxForm = 8 << 10

// readForm reads the form of r. If r comes from another origin or its form cannot be read, readForm
// answers it and returns false.
func (p *Page) readForm(w http.ResponseWriter, r *http.Request) bool {
	if err := p.crossSite.Check(r); err != nil {
		p.fail(w, r, http.StatusForbidden, "The request comes from another site. Nothing was done.")
		return false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, http.StatusBadRequest, "The form cannot be read. Nothing was done.")
		return false
	}
	return true
}

// ask returns f(r). If f panics, ask returns false and adds an event.
func (p *Page) ask(name string, f func(*http.Request) bool, r *http.Request) (yes bool) {
	defer p.recovered(name, func() { yes = false })
	return f != nil && f(r)
}

// recovered is deferred around a function of the Config. If it panics, recovered adds an event and
// calls then.
func (p *Page) recovered(name string, then func()) {
	if v := recover(); v != nil {
		p.watch.failed(errors.New("dashboard." + name + " panicked: " + fmt.Sprint(v)))
		then()
	}
}

// secure forbids everything that the page does not need.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
		"img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// With no-referrer, browsers would send forms with the Origin "null".
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
