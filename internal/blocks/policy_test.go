package blocks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPolicyMistakes(t *testing.T) {
	const (
		block  = ": want a second to 365 days, or 0 for the usual"
		forget = ": want a second to 90 days, or 0 for the usual"
	)
	for _, tc := range []struct {
		name   string
		policy Policy
		want   []string
	}{
		{"zero", Policy{}, nil},
		{"the shortest times", Policy{AfterCount: 1, For: sec, Max: sec, Forget: sec}, nil},
		{"the longest times", Policy{AfterCount: 1, For: MaxFor, Max: MaxFor, Forget: MaxForget}, nil},
		{"the widest", Policy{AfterCount: 1, For: sec, Max: 8760 * hour, Forget: 90 * day}, nil},
		{"For as long as Max", Policy{AfterCount: 1, For: hour, Max: hour}, nil},
		{"For longer than the usual Max", Policy{AfterCount: 1, For: 2 * hour}, nil},
		{
			"For without After",
			Policy{For: hour},
			[]string{"After: no number of violations that blocks, so that its times mean nothing: want for example Per(10, time.Minute)"},
		},
		{
			"After without a unit",
			Policy{AfterCount: 10, AfterPeriod: 60},
			[]string{"After: 10 per 60ns blocks no key: want a period with a unit, such as time.Minute"},
		},
		{"For too short", Policy{For: ms}, []string{"For: 1ms" + block}},
		{"For too long", Policy{For: MaxFor + 1}, []string{"For: 8760h0m0.000000001s" + block}},
		{
			"Max too short",
			Policy{For: sec, Max: sec - 1},
			[]string{"Max: 999.999999ms" + block, "Max: 999.999999ms: want at least For, which is 1s"},
		},
		{"Max too long", Policy{Max: 8761 * hour}, []string{"Max: 8761h0m0s" + block}},
		{"Max shorter than the usual For", Policy{Max: 30 * sec}, []string{"Max: 30s: want at least For, which is 1m0s"}},
		{"Max shorter than For", Policy{For: 2 * hour, Max: hour}, []string{"Max: 1h0m0s: want at least For, which is 2h0m0s"}},
		{"Forget negative", Policy{Forget: -1}, []string{"Forget: -1ns" + forget}},
		{"Forget too long", Policy{Forget: 91 * day}, []string{"Forget: 2184h0m0s" + forget}},
		{
			"all",
			Policy{For: -1, Max: -1, Forget: -1},
			[]string{"For: -1ns" + block, "Max: -1ns" + block, "Forget: -1ns" + forget, "Max: -1ns: want at least For, which is 0s"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, m := range tc.policy.Check() {
				got = append(got, m.Field+": "+m.Err.Error())
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestUsualTimes(t *testing.T) {
	for _, tc := range []struct {
		name         string
		policy, want Policy
	}{
		{"zero", Policy{}, Policy{For: minu, Max: hour, Forget: day}},
		{"For", Policy{For: sec}, Policy{For: sec, Max: hour, Forget: day}},
		{"For longer than an hour", Policy{For: 3 * hour}, Policy{For: 3 * hour, Max: 3 * hour, Forget: day}},
		{
			"whole milliseconds",
			Policy{For: sec + 1, Max: 2*sec - 1, Forget: sec + ms},
			Policy{For: sec + ms, Max: 2 * sec, Forget: sec + ms},
		},
	} {
		assert.Equal(t, tc.want, tc.policy.filled(), tc.name)
	}
}

func TestRound(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0: 0, 1: ms, ms - 1: ms, ms: ms, ms + 1: 2 * ms, sec: sec, MaxFor: MaxFor,
	} {
		assert.Equal(t, want, Round(d), "%v", d)
	}
}
