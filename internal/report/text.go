package report

import (
	"encoding"
	"errors"
)

// Text returns err as an error whose JSON is its text. The JSON of most errors is {}. It returns
// nil for nil, and err itself if that has a text in JSON.
func Text(err error) error {
	if _, ok := err.(encoding.TextMarshaler); ok || err == nil {
		return err
	}
	return text{err}
}

type text struct{ error }

// MarshalText implements [encoding.TextMarshaler].
func (t text) MarshalText() ([]byte, error) { return []byte(t.Error()), nil }

func (t text) Unwrap() error { return t.error }

// Join is [errors.Join], except that the JSON of the error is its text.
func Join(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return joined{err}
	}
	return nil
}

type joined struct{ error }

// MarshalText implements [encoding.TextMarshaler].
func (j joined) MarshalText() ([]byte, error) { return []byte(j.Error()), nil }

func (j joined) Unwrap() []error { return j.error.(interface{ Unwrap() []error }).Unwrap() }
