package policyfile

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/ratelimit-go/ratelimit"
)

// cost returns a Rule.Cost.
func (c *compiler) cost(field string, spec *cost) func(*http.Request) int64 {
	if spec.Fixed > 0 {
		n := int64(spec.Fixed)
		return func(*http.Request) int64 { return n }
	}
	if spec.Default > spec.Max && spec.Max > 0 {
		c.addf(c.values[field+".default"], field+".default",
			"%d: want at most max, which is %d", spec.Default, spec.Max)
	}
	name, usual, most := spec.Query, int64(max(spec.Default, 1)), int64(spec.Max)
	return func(r *http.Request) int64 { return queryCost(r.URL.RawQuery, name, usual, most) }
}

// queryCost returns the number that a query has under name: the largest, if it has several. If it
// has none, the cost is usual. If a number cannot be read or is over most, the cost is most: what
// is not known must not be cheap.
func queryCost(query, name string, usual, most int64) int64 {
	values, err := url.ParseQuery(query)
	if err != nil {
		return most // servers differ in how they read it
	}
	texts, ok := values[name]
	if !ok {
		return usual
	}
	n := int64(1)
	for _, text := range texts {
		one, err := strconv.ParseInt(text, 10, 64)
		if err != nil || one < 0 || one > most {
			return most
		}
		n = max(n, one)
	}
	return n
}

// fieldName is a token of RFC 9110, section 5.6.2.
var fieldName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// responseCost returns a Rule.ResponseCost. A response without the header costs what was reserved.
// If the header is not a number, or appears twice, the response costs max.
func (c *compiler) responseCost(field string, spec *responseCost) func(ratelimit.Response) int64 {
	if field += ".header"; spec.Header != "" && !fieldName.MatchString(spec.Header) {
		c.addf(c.values[field], field, "%s: want the name of a header field such as X-Cost", cut(spec.Header))
	}
	name, most := http.CanonicalHeaderKey(spec.Header), int64(spec.Max)
	return func(res ratelimit.Response) int64 {
		lines := res.Header[name]
		if len(lines) == 0 {
			return res.Cost
		}
		n, err := strconv.ParseInt(lines[0], 10, 64)
		if len(lines) > 1 || err != nil || n < 0 || n > most {
			return most
		}
		return n
	}
}
