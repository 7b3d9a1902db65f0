package accesslog

import "time"

// In autumn the clocks of many zones show an hour twice. A time without a zone is in the first of
// them, until the times of a file go back by more than half of that hour.

// twice returns how long before t, and how long after t, the clocks of its zone showed the same
// time. At least one of them is 0.
func twice(t time.Time) (before, after time.Duration) {
	start, end := t.ZoneBounds()
	if d := shift(start); d > 0 && t.Before(start.Add(d)) {
		return d, 0
	}
	if d := shift(end); d > 0 && !t.Before(end.Add(-d)) {
		return 0, d
	}
	return 0, 0
}

// shift returns by how much the clocks were put back at the given time.
func shift(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	_, old := at.Add(-time.Second).Zone()
	_, now := at.Zone()
	return time.Duration(old-now) * time.Second
}
