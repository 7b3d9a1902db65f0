package shed_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/shed"
)

func TestConfigMistakes(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  shed.Config
		want string
	}{
		{
			name: "the zero Config",
			want: "shed: MaxInFlight: 0: want 1 to 1000000",
		},
		{
			name: "too many in flight",
			cfg:  shed.Config{MaxInFlight: 1_000_001},
			want: "shed: MaxInFlight: 1000001: want 1 to 1000000",
		},
		{
			name: "every number negative",
			cfg:  shed.Config{MaxInFlight: -1, MinInFlight: -2, TargetLatency: -time.Second},
			want: "shed: MaxInFlight: -1: want 1 to 1000000\n" +
				"shed: MinInFlight: -2: want a positive number, or 0 for a tenth of MaxInFlight\n" +
				"shed: TargetLatency: -1s: want at least 10µs, or 0 for a limit that does not adapt",
		},
		{
			name: "a time without a unit",
			cfg:  shed.Config{MaxInFlight: 4, TargetLatency: 250},
			want: "shed: TargetLatency: 250ns: want at least 10µs, or 0 for a limit that does not adapt",
		},
		{
			name: "a minimum above the maximum",
			cfg:  shed.Config{MaxInFlight: 4, MinInFlight: 5},
			want: "shed: MinInFlight: 5: want at most MaxInFlight, which is 4",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := shed.New(tc.cfg)
			require.EqualError(t, err, tc.want)
			assert.Nil(t, s)
		})
	}
}

// A Shedder that is not there would panic at each request.
func TestShedderWithoutNew(t *testing.T) {
	missing, _ := shed.New(shed.Config{})
	for _, s := range []*shed.Shedder{missing, new(shed.Shedder)} {
		assert.PanicsWithValue(t, "shed: a Shedder that New has not made: want New, and look at its error", func() {
			s.Handler(http.NotFoundHandler())
		})
	}
}

func TestHighestLimit(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  shed.Config
		want int
	}{
		{name: "without priorities", cfg: shed.Config{MaxInFlight: 11}, want: 11},
		{name: "a tenth is kept for critical requests", cfg: shed.Config{MaxInFlight: 1000, Priority: byHeader}, want: 900},
		{name: "a tenth, rounded up", cfg: shed.Config{MaxInFlight: 11, Priority: byHeader}, want: 9},
		{name: "at least one", cfg: shed.Config{MaxInFlight: 1, Priority: byHeader}, want: 1},
		{name: "the most", cfg: shed.Config{MaxInFlight: 1_000_000}, want: 1_000_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, newShedder(t, tc.cfg).Stats().Limit)
		})
	}
}
