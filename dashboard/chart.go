package dashboard

import "strconv"

// Measures of a chart, in units of its viewBox.
const (
	barStep   = 4
	barWidth  = 3
	rowHeight = 32
	bigHeight = 96
)

// chart is a bar per slot, for an SVG: four paths on top of each other.
type chart struct {
	Width, Height              int
	Calm, Near, DryRun, Denied string // the d of each path
	Peak                       string // requests per second of the highest bar
}

// draw returns a chart of the points.
func draw(points []point, height int) chart {
	c := chart{Width: barStep * slots, Height: height}
	most := int64(0)
	for _, p := range points {
		most = max(most, p.allowed+p.denied)
	}
	if most == 0 {
		return c
	}
	c.Peak = rate(float64(most) / slotTime.Seconds())
	var calm, near, dryRun, denied []byte
	for i, p := range points {
		y := height
		bar := func(path []byte, n int64) []byte {
			if n <= 0 {
				return path
			}
			h := min(max(int((n*int64(height)+most/2)/most), 1), y)
			y -= h
			return appendBar(path, i*barStep, y, h)
		}
		would := min(p.dryRun, p.allowed)
		low := max(min(p.near, p.allowed)-would, 0)
		calm = bar(calm, p.allowed-would-low)
		near = bar(near, low)
		dryRun = bar(dryRun, would)
		denied = bar(denied, p.denied)
	}
	c.Calm, c.Near, c.DryRun, c.Denied = string(calm), string(near), string(dryRun), string(denied)
	return c
}

// appendBar appends a rectangle of barWidth from (x, y) down, as a part of a path.
func appendBar(path []byte, x, y, h int) []byte {
	path = append(path, 'M')
	path = strconv.AppendInt(path, int64(x), 10)
	path = append(path, ' ')
	path = strconv.AppendInt(path, int64(y), 10)
	path = append(path, 'h', '0'+barWidth, 'v')
	path = strconv.AppendInt(path, int64(h), 10)
	return append(path, 'h', '-', '0'+barWidth, 'z')
}
