package dashboard

import (
	"cmp"
	"slices"
	"time"
)

// storeView is the state of the store.
type storeView struct {
	State, Class                                     string
	Calls, Median, High                              string // of the last minute
	Answered, Cached, Failures, Open, Closed, Memory string
	Reasons                                          []reasonView
	Keys, MaxKeys, Overflowed                        string
	Share                                            int64 // of the keys of the memory store, in percent
}

type reasonView struct{ Name, Count string }

func storeViewOf(h *history) storeView {
	s, m := &h.snapshot.Store, &h.snapshot.Memory
	v := storeView{
		Answered: number(s.Answered), Cached: number(s.CachedDenials), Open: number(s.FailedOpen),
		Closed: number(s.FailedClosed), Memory: number(s.FailedToMemory),
	}
	v.State, v.Class = stateOf(s.State)
	failures := int64(0)
	for reason, n := range s.Failures {
		failures += n
		v.Reasons = append(v.Reasons, reasonView{string(reason), number(n)})
	}
	slices.SortFunc(v.Reasons, func(a, b reasonView) int { return cmp.Compare(a.Name, b.Name) })
	v.Failures = number(failures)
	if minute := h.store.minute(h.slot); s.Calls.Count > 0 {
		v.Calls = rate(float64(minute.Count) / min(h.at.Sub(h.from)+time.Second, time.Minute).Seconds())
		v.Median, v.High = latency(quantile(minute, 0.5)), latency(quantile(minute, 0.99))
	}
	if m.MaxKeys > 0 {
		v.Keys, v.MaxKeys = number(int64(m.Keys)), number(int64(m.MaxKeys))
		v.Overflowed = number(m.Overflowed)
		v.Share = int64(m.Keys) * 100 / int64(m.MaxKeys)
	}
	return v
}
