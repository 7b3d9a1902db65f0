// Screenshots draws the images of docs/dashboard.md: it plays traffic and an attack, opens the page
// in Chromium, and writes PNG files.
//
//	usage: screenshots [-play 5m] [-out ../../docs/images]
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/ratelimit-go/ratelimit/proof/dashboard/internal/chromium"
	"github.com/ratelimit-go/ratelimit/proof/dashboard/internal/scene"
)

func main() {
	play := flag.Duration("play", 5*time.Minute, "how long to send traffic before the first image")
	out := flag.String("out", "../../docs/images", "the directory of the images")
	flag.Parse()
	if err := run(*play, *out); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(play time.Duration, out string) error {
	s, err := scene.New()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/limits/", s.Page)
	server := httptest.NewServer(mux)
	defer server.Close()
	defer s.Page.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go s.Play(ctx, play) // it goes on while the images are drawn
	fmt.Println("sending traffic for", play)
	time.Sleep(play)

	dir, err := os.MkdirTemp("", "screenshots")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tab, stop, err := chromium.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	tab, cancel = context.WithTimeout(tab, 2*time.Minute)
	defer cancel()
	return draw(tab, server.URL+"/debug/limits/", out)
}

// shot is one file.
type shot struct {
	name          string
	width, height int64
	dark          bool
	find, part    string
}

func draw(tab context.Context, url, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, i := range []shot{
		{name: "dashboard-light", width: 1160, height: 1000},
		{name: "dashboard-dark", width: 1160, height: 1000, dark: true},
		{name: "dashboard-clients", width: 1160, height: 1000, part: ".pair"},
		{name: "dashboard-phone", width: 390, height: 1000},
		{name: "dashboard-find", width: 1160, height: 460, find: "user-01"},
	} {
		if err := i.draw(tab, url, filepath.Join(out, i.name+".png")); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return nil
}

func (i *shot) draw(tab context.Context, url, file string) error {
	scheme := map[bool]string{false: "light", true: "dark"}[i.dark]
	media := emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}
	steps := []chromedp.Action[chromedp.Void]{
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media)
			return err
		}),
		chromedp.EmulateViewport(i.width, i.height), chromedp.Navigate(url),
		chromedp.Sleep(2500 * time.Millisecond),
	}
	if i.find != "" {
		steps = append(steps,
			chromedp.SetValue(`form.search select[name=kind]`, "user"),
			chromedp.SendKeys(`form.search input[name=text]`, i.find),
			chromedp.Submit(`form.search`), chromedp.WaitVisible(`.found`))
	}
	if err := chromedp.Do(tab, steps...); err != nil {
		return err
	}
	picture := chromedp.CaptureScreenshot()
	if i.part != "" {
		picture = chromedp.Screenshot(i.part)
	}
	data, err := chromedp.Run(tab, picture)
	if err != nil {
		return err
	}
	return write(file, data)
}
