package told

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The parser takes what RFC 9651 allows, and nothing else.
func TestStructuredFields(t *testing.T) {
	for _, tc := range []struct {
		text string
		want string // the items, or "error"
	}{
		{"", ""},
		{`"a";r=1`, `a{r:1}`},
		{`  "a"  ,	"b"`, `a b`},
		{`"a" ; r=1`, "error"},
		{`"a";  r=1`, `a{r:1}`},
		{`"a";r=1;r=2`, `a{r:2}`},
		{`"a";r`, `a{r:1}`},
		{`"a";r=?0`, `a{r:0}`},
		{`"a";r=?2`, "error"},
		{`"a";R=1`, "error"},
		{`"a";1=1`, "error"},
		{`"a";*x.y-z_1=1`, `a{*x.y-z_1:1}`},
		{`"a\"\\b"`, `a"\b`},
		{`"a\b"`, "error"},
		{`"a\`, "error"},
		{`"a`, "error"},
		{"\"a\x7f\"", "error"},
		{"\"\u00e4\"", "error"},
		{`"a",`, "error"},
		{`"a" "b"`, "error"},
		{`,"a"`, "error"},
		{`("a")`, "error"},
		{"token/1:x", "token/1:x"},
		{"*t", "*t"},
		{"-12", "-12"},
		{"--12", "error"},
		{"-", "error"},
		{"999999999999999", "999999999999999"},
		{"1000000000000000", "error"},
		{"1.5", "decimal"},
		{"1.", "error"},
		{"1.2345", "error"},
		{"1234567890123.1", "error"},
		{":YQ==:", "a"},
		{":YQ:", "a"},
		{":Y Q:", "error"},
		{":YQ==", "error"},
		{"?1", "1"},
		{"?", "error"},
		{"@1795780820", "other"},
		{"@1.5", "error"},
		{`%"f%c3%bc"`, "other"},
		{`%"f`, "error"},
		{`%f`, "error"},
		{"%\"\x01\"", "error"},
		{"{", "error"},
		{strings.Repeat(`"a",`, 64) + `"a"`, "error"},
		{`"a"` + strings.Repeat(";a=1", 100), `a{a:1}`},
	} {
		items, err := parseList(tc.text)
		if tc.want == "error" {
			assert.ErrorIs(t, err, errSyntax, "%q", tc.text)
			continue
		}
		assert.NoError(t, err, "%q", tc.text)
		var all []string
		for _, it := range items {
			text := show(it.value)
			for key, value := range it.params {
				text += "{" + key + ":" + show(value) + "}"
			}
			all = append(all, text)
		}
		assert.Equal(t, tc.want, strings.Join(all, " "), "%q", tc.text)
	}
}

func show(b bare) string {
	switch b.kind {
	case isDecimal:
		return "decimal"
	case isOther:
		return "other"
	case isInteger, isBoolean:
		return strconv.FormatInt(b.number, 10)
	}
	return b.text
}

func TestDictionaries(t *testing.T) {
	items, err := parseDictionary("limit=100, remaining=40;x=1, flag, flag2;y=2")
	assert.NoError(t, err)
	var keys []string
	for _, it := range items {
		keys = append(keys, it.key+":"+strconv.FormatInt(it.value.number, 10))
	}
	assert.Equal(t, []string{"limit:100", "remaining:40", "flag:1", "flag2:1"}, keys)
	for _, text := range []string{"Limit=1", "a=1;", "a=", "=1", "a=1,", "a=(1)"} {
		_, err := parseDictionary(text)
		assert.ErrorIs(t, err, errSyntax, "%q", text)
	}
}
