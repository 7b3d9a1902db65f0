package told

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// draft is draft-ietf-httpapi-ratelimit-headers. This file reads RateLimit and RateLimit-Policy:
// a Dictionary in version 7, Lists of named Items from version 8 on.

const (
	policyField = "Ratelimit-Policy"
	limitField  = "Ratelimit"
)

// items reads the form of versions 8 to 11, and the names that a later version proposes: a for r,
// and w for t.
func (r *reader) items() {
	text := r.field(limitField)
	if !strings.HasPrefix(text, `"`) {
		return
	}
	members, err := parseList(text)
	if err != nil {
		r.mistake(limitField, err)
		return
	}
	policies := r.policies()
	for _, m := range members {
		left, ok := m.integer("r", "a")
		if m.value.kind != isString || !ok {
			r.mistake(limitField, errors.New("want a name and the parameter r"))
			continue
		}
		q := Quota{ID: id("draft", m), Requests: true, Limit: -1, Left: left, Reset: -1}
		if t, ok := m.integer("t", "w"); ok {
			q.Reset = seconds(float64(t))
		}
		for _, p := range policies {
			if p.value != m.value || p.has("pk") && m.has("pk") && p.params["pk"] != m.params["pk"] {
				continue
			}
			q.policy(p)
			if unit, ok := p.params["qu"]; ok {
				q.Requests = unit.text == "requests" || unit.text == "request"
				if unit.text == "concurrent-requests" {
					q.Left = max(q.Left, 1) // no time makes more of them: an answer does
				}
			}
		}
		r.add(q)
	}
}

// dictionary reads the form of version 7.
func (r *reader) dictionary() {
	text := r.field(limitField)
	if text == "" || strings.HasPrefix(text, `"`) {
		return
	}
	members, err := parseDictionary(text)
	if err != nil {
		r.mistake(limitField, err)
		return
	}
	q := Quota{Requests: true, Limit: -1, Left: -1, Reset: -1}
	for _, m := range members {
		if m.value.kind != isInteger || m.value.number < 0 {
			continue
		}
		switch n := m.value.number; m.key {
		case "limit":
			q.Limit = n
		case "remaining":
			q.Left = n
		case "reset":
			q.Reset = seconds(float64(n))
		}
	}
	if q.Left < 0 {
		r.mistake(limitField, errors.New("want the member remaining"))
		return
	}
	r.unnamed("draft", q)
}

// unnamed adds a quota whose fields have no name. A policy with the same limit tells its window. A
// server with several limits shows now this and now another, so the limit is part of the ID.
func (r *reader) unnamed(form string, q Quota) {
	for _, p := range r.policies() {
		if p.value.kind == isInteger && p.value.number == q.Limit && p.window() > q.Window {
			q.Window = p.window()
		}
	}
	q.ID = form + " " + strconv.FormatInt(q.Limit, 10)
	r.add(q)
}

// policies returns the members of RateLimit-Policy, in any version. In versions 3 to 6 they may be
// in RateLimit-Limit too. It reads them once, so a mistake is reported once.
func (r *reader) policies() []item {
	if r.read {
		return r.known
	}
	members, err := parseList(r.field(policyField))
	if err != nil {
		r.mistake(policyField, err)
	}
	if more, err := parseList(r.field("Ratelimit-Limit")); err == nil {
		members = append(members, more...) // the limit itself has no window, except at Docker Hub
	}
	r.known, r.read = members, true
	return members
}

// policy sets what a policy says. If two policies have the name, the stricter values count.
func (q *Quota) policy(p item) {
	if n, ok := p.integer("q", "q"); ok && (q.Limit < 0 || n < q.Limit) {
		q.Limit = n
	}
	q.Window = max(q.Window, p.window())
}

func (m item) window() time.Duration {
	w, _ := m.integer("w", "w")
	return seconds(float64(w))
}

func (m item) has(key string) bool { _, ok := m.params[key]; return ok }

// integer returns the first of two parameters that m has. It is not negative.
func (m item) integer(key, other string) (int64, bool) {
	p, ok := m.params[key]
	if !ok {
		p, ok = m.params[other]
	}
	return p.number, ok && p.kind == isInteger && p.number >= 0
}

// id returns the ID of a named quota: its form, its name and its partition key.
func id(form string, m item) string {
	pk := m.params["pk"].text
	return form + ` "` + m.value.text[:min(len(m.value.text), maxName)] + `" ` + pk[:min(len(pk), maxName)]
}
