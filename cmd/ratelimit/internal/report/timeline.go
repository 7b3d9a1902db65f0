package report

import "time"

// maxSlots bounds a timeline.
const maxSlots = 240

// A Timeline counts requests by time, in slots of equal width.
type Timeline struct {
	Start time.Time     `json:"start,omitzero"`
	Width time.Duration `json:"width_ns"` // of a slot
	Slots []Slot        `json:"slots"`
}

// Slot is the count of one slot.
type Slot struct {
	Allowed int64 `json:"allowed"`
	Denied  int64 `json:"denied"`
	Then    int64 `json:"denied_then"` // with status 429 in the log
}

// add counts one request. If it lies beyond the last slot, pairs of slots become one, until it
// does not. A request before Start counts in the first slot.
func (t *Timeline) add(at time.Time, denied, then bool) {
	if t.Width == 0 {
		t.Start, t.Width = at.Truncate(time.Second), time.Second
	}
	i := max(0, int64(at.Sub(t.Start)/t.Width))
	for ; i >= maxSlots; i = int64(at.Sub(t.Start) / t.Width) {
		t.halve()
	}
	for int64(len(t.Slots)) <= i {
		t.Slots = append(t.Slots, Slot{})
	}
	s := &t.Slots[i]
	if denied {
		s.Denied++
	} else {
		s.Allowed++
	}
	if then {
		s.Then++
	}
}

func (t *Timeline) halve() {
	t.Width *= 2
	for i := range t.Slots {
		s := t.Slots[i]
		if i%2 == 0 {
			t.Slots[i/2] = s
			continue
		}
		to := &t.Slots[i/2]
		to.Allowed += s.Allowed
		to.Denied += s.Denied
		to.Then += s.Then
	}
	t.Slots = t.Slots[:(len(t.Slots)+1)/2]
}
