package report

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
)

const (
	svgWidth, svgHeight      = 960, 320
	svgLeft, svgTop          = 70, 50
	svgRight, svgBottom      = 20, 40
	plotWidth, plotHeight    = svgWidth - svgLeft - svgRight, svgHeight - svgTop - svgBottom
	colorAllowed             = "#4c78a8"
	colorDenied, colorByThen = "#e45756", "#b279a2"
)

// WriteSVG draws the requests over time: allowed, denied, and denied then. The drawing contains no
// script and loads nothing.
func (r *Report) WriteSVG(w io.Writer) error {
	var b strings.Builder
	t := &r.Time
	fmt.Fprintf(&b,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" `+
			`font-family="sans-serif" font-size="12">`+"\n",
		svgWidth, svgHeight)
	title := fmt.Sprintf("%s: %s denied of %s",
		r.Policy, plain.Number(r.Denied), plain.Count(r.Requests, "request"))
	fmt.Fprintf(&b, `<title>%s</title>`+"\n"+`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n",
		html.EscapeString(title))
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14">%s</text>`+"\n", svgLeft, html.EscapeString(title))
	svgLegend(&b)
	most := int64(1)
	for _, s := range t.Slots {
		most = max(most, s.Allowed+s.Denied)
	}
	svgAxes(&b, t, most)
	width := float64(plotWidth) / float64(max(1, len(t.Slots)))
	height := func(n int64) float64 { return float64(n) * plotHeight / float64(most) }
	for i, s := range t.Slots {
		x, bottom := svgLeft+float64(i)*width, float64(svgTop+plotHeight)
		svgBar(&b, x, bottom, width, height(s.Allowed), colorAllowed)
		svgBar(&b, x, bottom-height(s.Allowed), width, height(s.Denied), colorDenied)
		if s.Then > 0 {
			y := bottom - height(s.Then)
			fmt.Fprintf(&b, `<path d="M%.2f %.2fh%.2f" stroke="%s" stroke-width="2"/>`+"\n", x, y, width,
				colorByThen)
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func svgBar(b *strings.Builder, x, bottom, width, height float64, color string) {
	if height > 0 {
		fmt.Fprintf(b, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"/>`+"\n",
			x, bottom-height, width, height, color)
	}
}

func svgLegend(b *strings.Builder) {
	x := svgLeft
	for _, entry := range [...]struct{ color, text string }{
		{colorAllowed, "allowed"}, {colorDenied, "denied"}, {colorByThen, "denied then (429 in the log)"},
	} {
		fmt.Fprintf(b,
			`<rect x="%d" y="30" width="10" height="10" fill="%s"/><text x="%d" y="39">%s</text>`+"\n",
			x, entry.color, x+14, entry.text)
		x += 90
	}
}

func svgAxes(b *strings.Builder, t *Timeline, most int64) {
	bottom := svgTop + plotHeight
	fmt.Fprintf(b, `<path d="M%d %dV%dH%d" fill="none" stroke="#888"/>`+"\n", svgLeft, svgTop, bottom,
		svgLeft+plotWidth)
	fmt.Fprintf(b,
		`<text x="%d" y="%d" text-anchor="end">%s</text><text x="%d" y="%d" text-anchor="end">0</text>`+"\n",
		svgLeft-6, svgTop+4, plain.Number(most), svgLeft-6, bottom)
	if len(t.Slots) == 0 {
		return
	}
	end := t.Start.Add(time.Duration(len(t.Slots)) * t.Width)
	fmt.Fprintf(b,
		`<text x="%d" y="%d">%s</text><text x="%d" y="%d" text-anchor="middle">requests per %s, UTC</text>`+
			`<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
		svgLeft, bottom+18, t.Start.UTC().Format(timeForm), svgLeft+plotWidth/2, bottom+18,
		widthText(t.Width),
		svgLeft+plotWidth, bottom+18, end.UTC().Format(timeForm))
}
