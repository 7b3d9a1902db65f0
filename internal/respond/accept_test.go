package respond

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPrefersText(t *testing.T) {
	for _, tc := range []struct {
		name   string
		accept []string
		want   bool
	}{
		{name: "no Accept", accept: nil, want: false},
		{name: "an empty field", accept: []string{""}, want: false},
		{name: "everything", accept: []string{"*/*"}, want: false},
		{name: "everything, with a weight", accept: []string{"*/*;q=0.8"}, want: false},
		{name: "text", accept: []string{"text/plain"}, want: true},
		{name: "HTML in capitals", accept: []string{"TEXT/HTML"}, want: true},
		{name: "JSON", accept: []string{"application/json"}, want: false},
		{name: "JSON after text of less weight", accept: []string{"text/html;q=0.5, application/problem+json"}, want: false},
		{name: "JSON after text of the same weight", accept: []string{"text/plain, application/json"}, want: false},
		{name: "any application type and text", accept: []string{"application/*, text/plain"}, want: false},
		{name: "text before everything", accept: []string{"text/plain;q=0.5, */*;q=0.4"}, want: true},
		{name: "everything before text", accept: []string{"text/plain;q=0.4, */*;q=0.5"}, want: false},
		{name: "anything but JSON", accept: []string{"application/json;q=0, */*;q=0.1"}, want: true},
		{name: "no text, by a later parameter", accept: []string{"text/plain; charset=utf-8; q=0"}, want: false},
		{name: "a weight in capitals", accept: []string{"text/plain; Q=0"}, want: false},
		{name: "a weight that is no number", accept: []string{"text/plain;q=nonsense"}, want: false},
		{name: "a weight above 1", accept: []string{"text/plain;q=2"}, want: false},
		{name: "a weight below 0", accept: []string{"text/plain;q=-1"}, want: false},
		{name: "a browser", accept: []string{"text/html,application/xml;q=0.9,*/*;q=0.8"}, want: true},
		{name: "several kinds of text", accept: []string{"text/html, text/plain;q=0.9, */*;q=0.1"}, want: true},
		{name: "text on a second line", accept: []string{"image/png", "text/plain"}, want: true},
		{name: "the last range that is read", accept: []string{strings.Repeat("image/png,", 31) + "text/plain"}, want: true},
		{name: "a range too far", accept: []string{strings.Repeat("image/png,", 32) + "text/plain"}, want: false},
		{name: "a range much too far", accept: []string{strings.Repeat("image/png,", 40) + "text/plain"}, want: false},
		{name: "a line too far", accept: []string{strings.Repeat("image/png,", 40), "text/plain"}, want: false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, PrefersText(tc.accept))
		})
	}
}
