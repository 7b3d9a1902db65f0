// Package chromium starts the browser.
package chromium

import (
	"context"
	"os"
	"time"

	"github.com/chromedp/chromedp"
)

// Start starts Chromium with one empty tab, and keeps its profile in dir. Call stop in the end.
func Start(ctx context.Context, dir string) (tab context.Context, stop func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(dir),
		chromedp.WSURLReadTimeout(time.Minute))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	ctx, free := chromedp.NewExecAllocator(ctx, options...)
	tab, cancel := chromedp.NewContext(ctx)
	stop = func() { _ = chromedp.Cancel(tab); cancel(); free() }
	if _, err = chromedp.Run(tab, chromedp.Navigate("about:blank")); err != nil {
		stop()
	}
	return tab, stop, err
}
