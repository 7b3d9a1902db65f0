package rpclimit

import (
	"errors"
	"slices"
	"strings"
)

// pattern is a pattern of methods. It ends with "/*" for a service, and is "*" for all methods.
type pattern string

const everything pattern = "*"

func parsePatterns(texts []string) (ps []pattern, err error) {
	for _, text := range texts {
		service, method, _ := strings.Cut(strings.TrimPrefix(text, "/"), "/")
		valid := strings.HasPrefix(text, "/") && service != "" && method != "" &&
			!strings.Contains(service, "*") && !strings.ContainsAny(method, "/") &&
			(method == "*" || !strings.Contains(method, "*"))
		if !valid && text != string(everything) {
			err = errors.Join(err, errors.New("pattern "+quote(text)+
				`: want "/pkg.Service/Method", "/pkg.Service/*" or "*"`))
		}
		ps = append(ps, pattern(text))
	}
	if len(ps) == 0 {
		ps = []pattern{everything}
	}
	return ps, err
}

// covers reports whether p matches every method that the pattern q matches.
func (p pattern) covers(q pattern) bool {
	switch {
	case p == everything || p == q:
		return true
	case q == everything:
		return false
	}
	return strings.HasSuffix(string(p), "/*") && p == serviceOf(string(q))
}

func anyCovers(ps []pattern, q pattern) bool {
	return slices.ContainsFunc(ps, func(p pattern) bool { return p.covers(q) })
}

// serviceOf returns the pattern of the service of a method, or "" if it has none.
func serviceOf(method string) pattern {
	i := strings.LastIndexByte(method, '/')
	if i <= 0 {
		return ""
	}
	return pattern(method[:i] + "/*")
}

// plan is what applies to a method.
type plan struct {
	calls    []*rule   // for the beginning of a call
	messages []*rule   // for each message
	unary    []*rule   // both
	flights  []*flight // permits
}

func (p *plan) empty() bool { return len(p.unary)+len(p.flights) == 0 }

// plans has a plan for each pattern of a Config, so it never grows. A method meets the plan of the
// most specific pattern that matches it.
type plans struct {
	exact    map[string]*plan
	services map[string]*plan // by "/pkg.Service"
	others   *plan
}

func (ps *plans) find(method string) *plan {
	if p := ps.exact[method]; p != nil {
		return p
	}
	if i := strings.LastIndexByte(method, '/'); i > 0 {
		if p := ps.services[method[:i]]; p != nil {
			return p
		}
	}
	return ps.others
}

// add adds the plan for q, which makePlan makes.
func (ps *plans) add(q pattern, makePlan func(pattern) *plan) {
	service, ok := strings.CutSuffix(string(q), "/*")
	switch {
	case q == everything:
	case ok:
		ps.services[service] = makePlan(q)
	default:
		ps.exact[string(q)] = makePlan(q)
	}
}
