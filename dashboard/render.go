package dashboard

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"io/fs"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

//go:embed templates
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

var (
	templates = template.Must(template.ParseFS(templateFiles, "templates/*.html"))
	assets    = readAssets()
	types     = map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
)

func readAssets() map[string][]byte {
	all := map[string][]byte{}
	files, err := fs.ReadDir(assetFiles, "assets")
	for _, file := range files {
		all[file.Name()], err = assetFiles.ReadFile("assets/" + file.Name())
	}
	if err != nil {
		panic(err) // the files are part of the program
	}
	return all
}

func serveAsset(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", types[name[bytes.LastIndexByte([]byte(name), '.'):]])
	w.Header().Set("Cache-Control", "private, max-age=300")
	_, _ = w.Write(assets[name])
}

// frameTime is how long a rendering is shared. It is longer than spread, so that the streams share
// one per second, and so short that a page is at most a second and a half late.
const frameTime = 600 * time.Millisecond

// sections are the templates of the parts that move. The page has an element with each id.
var sections = []string{
	"sum", "rules", "quiet", "denied", "asking", "near", "dryrun", "blocks", "store", "events",
}

// frame is one rendering, shared by all open pages.
type frame struct {
	number int
	at     time.Time
	html   map[string]template.HTML
	quiet  []ruleView // of html["quiet"]
	full   []byte     // all sections, as a message of a stream
	delta  []byte     // the sections that differ from the frame before
}

// since returns the message that makes a page of frame number last look like f, or nil if it does.
// It sets last to the number of f.
func (f *frame) since(last *int) (message []byte) {
	switch f.number {
	case *last:
		return nil
	case *last + 1:
		message = f.delta
	default:
		message = f.full
	}
	*last = f.number
	return message
}

// frames renders at most one frame per frameTime, unless there is news.
type frames struct {
	mu   sync.Mutex
	last *frame
}

func index(act bool) int {
	if act {
		return 1
	}
	return 0
}

// frame returns the frame of the time now. On a busy machine, that is some time ago. Still all
// streams share a frame, and a frame that is rendered after news has the news.
func (p *Page) frame(now time.Time, act bool) *frame {
	f := &p.frames[index(act)]
	f.mu.Lock()
	defer f.mu.Unlock()
	news := time.Unix(0, p.watch.news.at.Load())
	late := f.last != nil && f.last.at.Before(news)
	if f.last != nil && !late && now.Sub(f.last.at).Abs() < frameTime {
		return f.last
	}
	if late && now.Before(news) {
		now = news
	}
	f.last = render(p.view(now, act), f.last, now, late)
	return f.last
}

// renew makes the next frames show what an action has changed.
func (p *Page) renew() {
	p.blocks.renew()
	for i := range p.frames {
		f := &p.frames[i]
		f.mu.Lock()
		if f.last != nil {
			old := *f.last
			old.at = time.Time{}
			f.last = &old
		}
		f.mu.Unlock()
	}
}

// render renders v. If it is late, it does not pause.
func render(v *view, before *frame, now time.Time, late bool) *frame {
	f := &frame{number: 1, at: now, html: map[string]template.HTML{}, quiet: v.Quiet}
	changed := map[string]template.HTML{}
	var pause pauses
	for _, name := range sections {
		if name == "quiet" && before != nil && slices.Equal(before.quiet, v.Quiet) {
			f.html[name] = before.html[name] // a list of hundreds that hardly ever changes
			continue
		}
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, name, v); err != nil {
			panic(err) // a mistake in a template, which tests find
		}
		if !late {
			pause.add(b.Len())
		}
		f.html[name] = template.HTML(b.String()) //nolint:gosec // made by html/template
		if before == nil || before.html[name] != f.html[name] {
			changed[name] = f.html[name]
		}
	}
	f.full = message(f.html, now)
	f.delta = f.full
	if before != nil {
		f.number, f.delta = before.number+1, message(changed, now)
	}
	return f
}

// pauses let requests of the service go first while a frame is rendered.
type pauses struct {
	unpaused int // bytes rendered since the last pause
	waited   time.Duration
}

// A large frame pauses after each pauseBytes, until its pauses have taken maxWaited. If all
// processors are busy, a pause lasts until every other goroutine has run. With a pause per section,
// the page told of attacks on passwords in examples/orders 2 to 4 seconds late.
const (
	pauseBytes = 32 << 10
	maxWaited  = 10 * time.Millisecond
)

func (p *pauses) add(rendered int) {
	p.unpaused += rendered
	if p.unpaused < pauseBytes || p.waited > maxWaited {
		return
	}
	start := time.Now()
	runtime.Gosched()
	p.unpaused, p.waited = 0, p.waited+time.Since(start)
}

// message returns a message of a stream of server-sent events.
func message(html map[string]template.HTML, now time.Time) []byte {
	b := bytes.NewBufferString("event: frame\ndata: ")
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		At   string                   `json:"at"`
		HTML map[string]template.HTML `json:"html"`
	}{clock(now), html})
	if err != nil {
		panic(err) // strings always encode
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// layout is what each whole page has.
type layout struct {
	Title, Heading, At string
	Act                bool
	Guards             []string
	HTML               map[string]template.HTML
	Find               findForm
	Result             *findResult
	Account            accountForm
	Failures           *accountResult
	Confirm            *confirmation
	Text, Level        string
}

func (p *Page) layout(heading string) *layout {
	return &layout{
		Title: p.cfg.Title, Heading: heading, At: clock(time.Now()),
		Guards: p.cfg.guards(), Find: findForm{Kind: "text"},
	}
}

func (p *Page) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	l := p.layout("")
	now := time.Now()
	l.Act = p.mayAct(r)
	l.HTML = p.frame(now, l.Act).html
	write(w, http.StatusOK, "page", l)
}

// fail answers with a text for people.
func (p *Page) fail(w http.ResponseWriter, _ *http.Request, status int, text string) {
	l := p.layout("Nothing was done")
	l.Text, l.Level = text, "bad"
	write(w, status, "message", l)
}

func write(w http.ResponseWriter, status int, name string, l *layout) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, l); err != nil {
		panic(err) // a mistake in a template, which tests find
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// blocksCache keeps the list of blocks. Under an attack it is long. Then it is renewed less often,
// so that it takes at most a fiftieth of one processor.
type blocksCache struct {
	mu   sync.Mutex
	list []ratelimit.Blocked
	next time.Time
}

func (c *blocksCache) get(now time.Time, ask func() []ratelimit.Blocked) []ratelimit.Blocked {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.next) {
		return c.list
	}
	start := time.Now()
	c.list = ask()
	c.next = now.Add(max(50*time.Since(start), frameTime))
	return c.list
}

func (c *blocksCache) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = time.Time{}
}
