package accesslog

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // also where the system has no zones

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// autumn returns a log of HAProxy in Berlin around the night of 25 October 2026, with a line every
// step, and the times of the lines.
func autumn(t *testing.T, loc *time.Location, step time.Duration) (text string, want []string) {
	t.Helper()
	var b strings.Builder
	from := time.Date(2026, 10, 24, 23, 30, 0, 0, time.UTC)
	for at := from; at.Sub(from) < 3*time.Hour; at = at.Add(step) {
		fmt.Fprintf(&b, "192.0.2.7:1 [%s] f b/s 0/0/0/0/0 200 0 - - ---- 0/0/0/0/0 0/0 %q\n",
			at.In(loc).Format("02/Jan/2006:15:04:05.000"), "GET / HTTP/1.1")
		want = append(want, at.Format(time.TimeOnly))
	}
	return b.String(), want
}

func TestTheHourThatComesTwice(t *testing.T) {
	t.Parallel()
	loc, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, step := range []time.Duration{time.Second, 20 * time.Minute} {
		text, want := autumn(t, loc, step)
		r := Open([]Source{source("a", text)}, Options{Location: loc})
		var got []string
		for e, err := r.Next(); err == nil; e, err = r.Next() {
			got = append(got, e.Time.UTC().Format(time.TimeOnly))
		}
		r.Close()
		assert.Equal(t, want, got)
		assert.Zero(t, r.Stats().Late)
	}
}

// TestLateLinesAreOfTheFirstHour has a request of five minutes among the lines of the first hour.
func TestLateLinesAreOfTheFirstHour(t *testing.T) {
	t.Parallel()
	loc, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	text, _ := autumn(t, loc, time.Minute)
	lines := strings.SplitAfter(text, "\n")
	lines = append(append(lines[:40:40], lines[35]), lines[40:]...) // 02:05 after 02:09
	_, stats := readAll(t, Options{Location: loc}, source("a", strings.Join(lines, "")))
	assert.EqualValues(t, 1, stats.Late)
}

func TestTwice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, at      string
		before, after time.Duration
	}{
		{"UTC", "2026-10-25T00:30:00Z", 0, 0},
		{"Europe/Berlin", "2026-10-24T23:59:59Z", 0, 0},
		{"Europe/Berlin", "2026-10-25T00:00:00Z", 0, time.Hour}, // 02:00 in summer
		{"Europe/Berlin", "2026-10-25T00:59:59Z", 0, time.Hour},
		{"Europe/Berlin", "2026-10-25T01:00:00Z", time.Hour, 0}, // 02:00 in winter
		{"Europe/Berlin", "2026-10-25T01:59:59Z", time.Hour, 0},
		{"Europe/Berlin", "2026-10-25T02:00:00Z", 0, 0},
		{"Europe/Berlin", "2026-03-29T01:00:00Z", 0, 0},
		{"Australia/Lord_Howe", "2026-04-04T14:45:00Z", 0, time.Hour / 2},
	} {
		loc, err := time.LoadLocation(c.zone)
		require.NoError(t, err)
		at, err := time.Parse(time.RFC3339, c.at)
		require.NoError(t, err)
		before, after := twice(at.In(loc))
		assert.Equal(t, [2]time.Duration{c.before, c.after}, [2]time.Duration{before, after}, c)
	}
}

// TestTimesWithAZoneComeOnce has the last second of the first hour and the first of the second, out
// of order.
func TestTimesWithAZoneComeOnce(t *testing.T) {
	t.Parallel()
	loc, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	line := `{"time":"2026-10-25T02:%s","level":"INFO","msg":"","client":"192.0.2.7","method":"GET","path":"/"}` + "\n"
	text := fmt.Sprintf(line, "59:59+02:00") + fmt.Sprintf(line, "00:00+02:00") + fmt.Sprintf(line, "00:00+01:00")
	got, stats := readAll(t, Options{Location: loc}, source("a", text))
	assert.Equal(t, []string{"/@0", "/@3599", "/@3600"}, got)
	assert.Zero(t, stats.Late, "read at once, they are sorted")
}
