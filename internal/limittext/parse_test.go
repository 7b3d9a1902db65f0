package limittext_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/limittext"
)

func TestParse(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"100 per minute", "100 per minute"},
		{"10/second", "10 per second"},
		{"100perminute", "100 per minute"},
		{"1 per 2 hours", "1 per 2 hours"},
		{"10 per2minutes", "10 per 2 minutes"},
		{"100/60second", "100 per minute"},
		{"10/second; 100/minute, 1000 per day", "10 per second; 100 per minute; 1000 per day"},
		{"5/min|20/H", "5 per minute; 20 per hour"},
		{"1_000_000 PER Week\n", "1000000 per week"},
		{"1 per month", "1 per month"},
		{"1 per year", "1 per year"},
		{"1 per 100 years", "1 per 100 years"},
		{"7 per 1500 ms", "7 per 1500 milliseconds"},
		{"100 per minute burst 20", "100 per minute burst 20"},
		{"100 per minute burst 100", "100 per minute"},
		{"100 per minute BURST20", "100 per minute burst 20"},
		{" unlimited ", "unlimited"},
		{"UNLIMITED", "unlimited"},
		{"1_000_000/s burst 1_000_000_000", "1000000 per second burst 1000000000"},
		{"60 per minute; 1 per second", "60 per minute; 1 per second"},
		{"\t1\v/\f2\rs \n", "1 per 2 seconds"},
	} {
		t.Run(row.text, func(t *testing.T) {
			limits, err := parse(row.text)
			require.Nil(t, err)
			assert.Equal(t, row.want, format(limits))
			again, err := parse(row.want)
			require.Nil(t, err)
			assert.Equal(t, limits, again)
		})
	}
}

func TestParseReturnsNumbers(t *testing.T) {
	limits, err := parse("100/m; 9 per 2 hours burst 3; 5/d burst 5")
	require.Nil(t, err)
	assert.Equal(t, []limittext.Limit{
		{Count: 100, Period: time.Minute}, {Count: 9, Period: 2 * time.Hour, Burst: 3}, {Count: 5, Period: day},
	}, limits)
	limits, err = parse("unlimited")
	require.Nil(t, err)
	assert.Equal(t, []limittext.Limit{unlimited}, limits)
}

func TestUnits(t *testing.T) {
	for want, words := range map[time.Duration]string{
		365 * day:        "year years y",
		30 * day:         "month months",
		7 * day:          "week weeks w",
		day:              "day days d",
		time.Hour:        "hour hours h hr hrs",
		time.Minute:      "minute minutes m min mins",
		time.Second:      "second seconds s sec secs",
		time.Millisecond: "millisecond milliseconds ms",
		time.Microsecond: "microsecond microseconds us",
		time.Nanosecond:  "nanosecond nanoseconds ns",
	} {
		for word := range strings.FieldsSeq(words) {
			for _, text := range []string{"1 per " + word, "1/" + strings.ToUpper(word), "1per1" + word} {
				limits, err := parse(text)
				require.Nil(t, err, text)
				assert.Equal(t, []limittext.Limit{{Count: 1, Period: want}}, limits, text)
			}
		}
	}
}

// Errors that several mistakes have.
const (
	noCount = "the count is missing: want a positive whole number"
	noPer   = `"per" or "/" is missing`
	example = `write for example "100 per minute"`
	split   = `separate limits by ";"`
	least   = "want at least 1"
	whole   = `write whole numbers: "3 per 2 seconds" for 1.5 per second`
	units   = "second, minute, hour, day, week, month or year"
)

func TestMistakes(t *testing.T) {
	for _, row := range []struct {
		text string
		want limittext.Error
	}{
		{"", limittext.Error{0, noCount, example}},
		{"  ", limittext.Error{2, noCount, example}},
		{"0 per minute", limittext.Error{0, "the count is zero", least}},
		{"-1 per minute", limittext.Error{0, noCount, example}},
		{"_1 per minute", limittext.Error{0, noCount, example}},
		{"٣ per minute", limittext.Error{0, noCount, example}},
		{"1.5 per second", limittext.Error{1, "the count has a fraction", whole}},
		{"1,000 per hour", limittext.Error{1, "the count has a comma", `group digits as in "1_000 per hour"`}},
		{"1, per hour", limittext.Error{1, noPer, example}},
		{"1__0 per day", limittext.Error{1, noPer, example}},
		{"1_ per day", limittext.Error{1, noPer, example}},
		{"99999999999999999999 per day", limittext.Error{0, "the count is too large", ""}},
		{"9223372036854775807 per ns", limittext.Error{0, "the count is too large", ""}},
		{"100", limittext.Error{3, noPer, example}},
		{"1 pe", limittext.Error{2, `unexpected word "pe"`, `write the count and then "per", as in "100 per minute"`}},
		{
			"10 requests per minute",
			limittext.Error{3, `unexpected word "requests"`, `write the count and then "per", as in "100 per minute"`},
		},
		{"1 per 0 minutes", limittext.Error{6, "the multiple is zero", least}},
		{"1 per 1.5 minutes", limittext.Error{7, "the multiple has a fraction", whole}},
		{"1 per ; 2/s", limittext.Error{6, "the multiple is missing: want a positive whole number", example}},
		{"1 per 9999999 years", limittext.Error{6, "the period is too long", "want at most 100 years"}},
		{"1 per 101 years", limittext.Error{0, "period 884760h0m0s: want at most 100 years", ""}},
		{"100 per", limittext.Error{7, "the unit is missing", "write " + units}},
		{"100 per 2", limittext.Error{9, "the unit is missing", "write " + units}},
		{"100 per fortnight", limittext.Error{8, `unknown unit "fortnight"`, "use " + units}},
		{"100 per minuts", limittext.Error{8, `unknown unit "minuts"`, "use minute"}},
		{"100 per 3 hous", limittext.Error{10, `unknown unit "hous"`, "use hour"}},
		{"10 per minute;", limittext.Error{14, noCount, example}},
		{"10 per minute;; 1 per day", limittext.Error{14, noCount, example}},
		{"10 per minute: 1 per day", limittext.Error{13, `unexpected ":"`, split}},
		{"10 per minute é", limittext.Error{14, `unexpected "é"`, split}},
		{"10 per minute\xff", limittext.Error{13, `unexpected "�"`, split}},
		{"10 per minute bust 3", limittext.Error{14, `unexpected "bust"`, `only "strict", and "burst" and a number, may follow the unit`}},
		{"10 per minute burst", limittext.Error{
			19, "the burst is missing: want a positive whole number", `write for example "100 per minute burst 20"`,
		}},
		{"100/min burst=20", limittext.Error{13, `unexpected "="`, `write the burst as in "100 per minute burst 20"`}},
		{"100/min burst: 20", limittext.Error{13, `unexpected ":"`, `write the burst as in "100 per minute burst 20"`}},
		{"10 per minute burst 0", limittext.Error{20, "the burst is zero", least}},
		{"10 per minute burst 1.5", limittext.Error{21, "the burst has a fraction", whole}},
		{"10 per minute burst 5 burst 5", limittext.Error{22, `unexpected "b"`, split}},
		{
			"10 per minute burst 99999999999",
			limittext.Error{0, "a bucket of 99999999999 takes more than 100 years to fill: want a smaller burst", ""},
		},
		{
			"1/s; 4294967311 per day",
			limittext.Error{5, "4294967311 per 24h0m0s cannot be kept exactly: want a rounder number, such as 4294967310", ""},
		},
		{"60 per minute; 1 per second burst 60", limittext.Error{15, "the same limit twice", "leave one out"}},
		{strings.Repeat("1/s;", 17), limittext.Error{4, "the same limit twice", "leave one out"}},
		{"1 per day, unlimited", limittext.Error{11, noCount, example}},
		{"unlimited; 1 per day", limittext.Error{0, noCount, example}},
		{strings.Repeat(" ", 1025), limittext.Error{1024, "the text is too long", "want at most 1024 bytes"}},
	} {
		t.Run(row.text, func(t *testing.T) {
			limits, err := parse(row.text)
			assert.Nil(t, limits)
			require.NotNil(t, err)
			assert.Equal(t, row.want, *err)
		})
	}
}

// The number in the error is a count that Parse reads.
func TestParseSuggestsARounderNumber(t *testing.T) {
	for _, row := range []struct{ count, per, want string }{
		{"4294967311", " per day", "4294967310"},
		{"100000000190000", " per hour", "100000000100000"},
		{"562949953421312", " per 1s", "562949953400000"},
		{"5000000001", " per second", "5000000000"},
		{"5000000001", " per 7 ms", "5000000000"},
	} {
		_, err := parse(row.count + row.per)
		require.NotNil(t, err, row.count)
		assert.Contains(t, err.Reason, "cannot be kept exactly: want a rounder number, such as "+row.want)
		assert.Empty(t, err.Suggestion)
		_, err = parse(row.want + row.per)
		assert.Nil(t, err)
	}
}

// members returns the text of n different limits.
func members(n int) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("%d/s", i+1)
	}
	return strings.Join(texts, ";")
}

func TestBoundsOfAText(t *testing.T) {
	limits, err := parse(members(16))
	require.Nil(t, err)
	assert.Len(t, limits, 16)
	_, err = parse(members(17))
	require.NotNil(t, err)
	assert.Equal(t, limittext.Error{len(members(16)), "too many limits", "want at most 16"}, *err)

	limits, err = parse("1/s" + strings.Repeat(" ", 1021))
	require.Nil(t, err)
	assert.Equal(t, []limittext.Limit{{Count: 1, Period: time.Second}}, limits)
}

// Two limits are the same if their rates and their bursts are, in all spellings.
func TestSameLimitTwice(t *testing.T) {
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"60/min", "60/min", true},
		{"60/min", "1/s burst 60", true},
		{"60/min burst 5", "3600/h burst 5", true},
		{"7/week", "1/day burst 7", true},
		{"60/min", "1/s", false},
		{"60/min burst 5", "60/min burst 6", false},
		{"60/min", "61/min burst 60", false},
		{"4294967296/s", "8589934592 per 2s burst 4294967296", true},
	} {
		_, err := parse(row.a + ";" + row.b)
		if !row.same {
			assert.Nil(t, err, "%s, %s", row.a, row.b)
			continue
		}
		require.NotNil(t, err, "%s, %s", row.a, row.b)
		assert.Equal(t, limittext.Error{len(row.a) + 1, "the same limit twice", "leave one out"}, *err)
	}
}

// Parse calls check once per limit, with its numbers, before it reads the next one.
func TestParseCallsCheck(t *testing.T) {
	var seen []limittext.Limit
	_, err := limittext.Parse("1/s; 2/m burst 3; 4/h; nonsense", func(l limittext.Limit) error {
		if seen = append(seen, l); l.Count == 4 {
			return errors.New("four is wrong")
		}
		return nil
	})
	require.NotNil(t, err)
	assert.Equal(t, limittext.Error{18, "four is wrong", ""}, *err)
	assert.Equal(t, []limittext.Limit{
		{Count: 1, Period: time.Second}, {Count: 2, Period: time.Minute, Burst: 3}, {Count: 4, Period: time.Hour},
	}, seen)

	_, err = limittext.Parse("unlimited", func(limittext.Limit) error { return errors.New("not called") })
	assert.Nil(t, err)
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 128 { // longer text finds nothing new
			t.Skip()
		}
		limits, err := parse(text)
		if err != nil {
			require.Nil(t, limits)
			require.NotEmpty(t, err.Reason)
			require.GreaterOrEqual(t, err.Offset, 0)
			require.LessOrEqual(t, err.Offset, len(text))
			return
		}
		again, err := parse(format(limits))
		require.Nil(t, err)
		require.Equal(t, limits, again)
	})
}
