package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The plot is SVG, written without a library. Lengths are in pixels.
const (
	plotWidth  = 1040.0
	plotHeight = 640.0
	plotLeft   = 70.0
	plotRight  = plotWidth - 20
	upperTop   = 96.0 // the upper part shows the latency
	upperEnd   = 390.0
	lowerTop   = 452.0 // the lower part shows what reached the database
	lowerEnd   = 590.0

	red   = "#c2410c"
	blue  = "#1d4ed8"
	gray  = "#64748b"
	black = "#0f172a"
)

// svg draws the latency of honest clients over time, without limits and with limits. Below it, svg
// draws how many requests reached the database.
func (c *comparison) svg() string {
	var b strings.Builder
	p := &plotter{&b, c}
	p.f(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" `+
		`font-family="system-ui, sans-serif" font-size="12">`, plotWidth, plotHeight)
	p.f(`<rect width="100%%" height="100%%" fill="white"/>`)
	p.text(plotLeft, 26, "start", black, `font-size="17" font-weight="600"`,
		"An API under attack: what honest clients feel")
	p.legend()
	p.bands()
	p.latencyAxis()
	p.latency(func(r round) *side { return r.without }, red)
	p.latency(func(r round) *side { return r.with }, blue)
	p.reached()
	p.f(`</svg>`)
	return b.String()
}

type plotter struct {
	b *strings.Builder
	c *comparison
}

func (p *plotter) f(format string, args ...any) { _, _ = fmt.Fprintf(p.b, format+"\n", args...) }

func (p *plotter) text(x, y float64, anchor, color, more, s string) {
	p.f(`<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" %s>%s</text>`, x, y, anchor, color, more, s)
}

func (p *plotter) line(x1, y1, x2, y2 float64, color string) {
	p.f(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, color)
}

func (p *plotter) legend() {
	x := plotLeft
	for _, l := range []struct{ color, text string }{{red, "without limits"}, {blue, "with limits"}} {
		p.f(`<rect x="%.1f" y="40" width="18" height="5" fill="%s"/>`, x, l.color)
		p.text(x+24, 47, "start", l.color, `font-weight="600"`, l.text)
		x += 130
	}
	p.text(x, 47, "start", gray, "", "thick: 99th percentile of each second or so; thin: median; "+
		"shaded: attack; a failed request counts as "+p.c.size.patience.String())
}

// x returns the place of a time that is counted from the beginning of the calm before attack i.
func (p *plotter) x(i int, after time.Duration) float64 {
	one := (plotRight - plotLeft) / float64(len(attacks))
	return plotLeft + one*(float64(i)+min(1, after.Seconds()/(p.c.size.calm+p.c.size.attack).Seconds()))
}

func (p *plotter) bands() {
	for i, a := range attacks {
		from, to := p.x(i, p.c.size.calm), p.x(i+1, 0)
		p.f(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#fef3c7"/>`,
			from, upperTop, to-from, upperEnd-upperTop)
		space := strings.LastIndexByte(a.name, ' ') + 1 // 0 for a single word
		first := strings.TrimSuffix(a.name[:max(space-1, 0)], ",")
		p.text((from+to)/2, upperTop-20, "middle", black, "", first)
		p.text((from+to)/2, upperTop-6, "middle", black, "", a.name[space:])
	}
}

// latencyY returns the place of a latency from 0.3 ms to 10 s. The scale is logarithmic.
func latencyY(d time.Duration) float64 {
	ms := min(max(d.Seconds()*1000, 0.3), 10_000)
	return upperEnd - (math.Log10(ms)-math.Log10(0.3))/(4-math.Log10(0.3))*(upperEnd-upperTop)
}

func (p *plotter) latencyAxis() {
	for d := time.Millisecond; d <= 10*time.Second; d *= 10 {
		y := latencyY(d)
		p.line(plotLeft, y, plotRight, y, "#e2e8f0")
		p.text(plotLeft-8, y+4, "end", gray, "", d.String())
	}
	p.line(plotLeft, upperEnd, plotRight, upperEnd, gray)
}

func (p *plotter) latency(of func(round) *side, color string) {
	thick, thin := new(strings.Builder), new(strings.Builder)
	for i := range attacks {
		calm := func(r round) phase { return of(r).outcomes[i].calm }
		under := func(r round) phase { return of(r).outcomes[i].under }
		p.phase(thick, thin, i, 0, p.c.size.calm, calm)
		p.phase(thick, thin, i, p.c.size.calm, p.c.size.attack, under)
	}
	const path = `<path d="M%s" fill="none" stroke="%s" `
	p.f(path+`stroke-width="1" opacity="0.6"/>`, thin.String()[1:], color)
	p.f(path+`stroke-width="2.5" stroke-linejoin="round"/>`, thick.String()[1:], color)
}

// step is the shortest time that one point of the plot stands for.
const step = time.Second

// phase adds the points of a phase to both paths.
func (p *plotter) phase(
	thick, thin *strings.Builder, i int, start, length time.Duration, of func(round) phase,
) {
	points := max(1, length/step)
	for n := range points {
		from, to := n*length/points, (n+1)*length/points
		during := func(r round) summary { return p.c.summary(of(r).part(from, to)) }
		x := p.x(i, start+(from+to)/2)
		p99 := median(p.c, func(r round) time.Duration { return during(r).p99 })
		p50 := median(p.c, func(r round) time.Duration { return during(r).p50 })
		_, _ = fmt.Fprintf(thick, "L%.1f %.1f", x, latencyY(p99))
		_, _ = fmt.Fprintf(thin, "L%.1f %.1f", x, latencyY(p50))
	}
}

// part returns the requests of p that were due from one time to another after its beginning.
func (p phase) part(from, to time.Duration) phase {
	part := phase{from: p.from.Add(from)}
	for _, s := range p.honest {
		if at := s.due.Sub(p.from); at >= from && at < to {
			part.honest = append(part.honest, s)
		}
	}
	return part
}

// reached draws two bars for each attack. Their heights are square roots, so that small numbers are
// visible too.
func (p *plotter) reached() {
	p.text(plotLeft, lowerTop-22, "start", black, `font-size="14" font-weight="600"`,
		"Requests of the attack that reached the database")
	without := func(i int) int {
		return median(p.c, func(r round) int { return r.without.outcomes[i].did.Database })
	}
	with := func(i int) int {
		return median(p.c, func(r round) int { return r.with.outcomes[i].did.Database })
	}
	most := 1
	for i := range attacks {
		most = max(most, without(i))
	}
	for i := range attacks {
		middle := (p.x(i, p.c.size.calm) + p.x(i+1, 0)) / 2
		p.bar(middle-34, without(i), most, red)
		p.bar(middle+2, with(i), most, blue)
	}
	p.line(plotLeft, lowerEnd, plotRight, lowerEnd, gray)
	p.text(plotLeft, lowerEnd+30, "start", gray, "", "Heights by the square root. Clients and service share "+
		"one machine and all traffic is on the loopback.")
}

func (p *plotter) bar(x float64, n, most int, color string) {
	height := math.Sqrt(float64(n)/float64(most)) * (lowerEnd - lowerTop)
	p.f(`<rect x="%.1f" y="%.1f" width="32" height="%.1f" fill="%s"/>`, x, lowerEnd-height, height, color)
	p.text(x+16, lowerEnd-height-4, "middle", color, "", fmt.Sprint(n))
}
