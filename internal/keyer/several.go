package keyer

import (
	"fmt"
	"net/http"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
)

// FirstOf is the first key that the request has. An error other than [ErrNoKey] ends the search.
func FirstOf[K Keyer](keyers []K) Keyer { return firstOf(parts(keyers)) }

// parts returns keyers of a type of another package.
func parts[K Keyer](keyers []K) []Keyer {
	parts := make([]Keyer, len(keyers))
	for i, k := range keyers {
		parts[i] = k
	}
	return parts
}

type firstOf []Keyer

func (f firstOf) check() []error { return checkParts("FirstOf", f) }

func (f firstOf) bind(src clientip.Source) Keyer { return firstOf(bindAll(f, src)) }

func (f firstOf) Key(r *http.Request) (key.Key, error) {
	for _, k := range f {
		got, err := k.Key(r)
		if err == nil && !got.IsZero() {
			return got, nil
		}
		if err != nil && !IsMissing(err) {
			return key.Key{}, err
		}
	}
	return key.Key{}, ErrNoKey
}

// AllOf is all keys together. If the request lacks one of them, it lacks the combination.
func AllOf[K Keyer](keyers []K) Keyer { return allOf(parts(keyers)) }

type allOf []Keyer

func (a allOf) check() []error { return checkParts("AllOf", a) }

func (a allOf) bind(src clientip.Source) Keyer { return allOf(bindAll(a, src)) }

func (a allOf) Key(r *http.Request) (key.Key, error) {
	var buf [8]key.Key
	keys := buf[:0]
	for _, k := range a {
		got, err := k.Key(r)
		if err != nil {
			return key.Key{}, err
		}
		keys = append(keys, got)
	}
	return present(key.Join(keys...))
}

func checkParts(name string, keyers []Keyer) []error {
	if len(keyers) == 0 {
		return []error{fmt.Errorf("%s(): want at least one Keyer", name)}
	}
	var errs []error
	for i, k := range keyers {
		for _, err := range Check(k) {
			errs = append(errs, fmt.Errorf("%s, argument %d: %w", name, i+1, err))
		}
	}
	return errs
}
