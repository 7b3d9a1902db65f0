package redisstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// luaServer stands for a server: values, expiry, a clock, and the two functions of struct that the
// script calls. Arguments and replies are lists of numbers instead of bytes.
const luaServer = `
local values, expires, us = {}, {}, 1700000000000000
local function run(name, key, value, _, ms)
  if expires[key] and expires[key] <= us then values[key], expires[key] = nil, nil end
  if name == 'TIME' then
    return { string.format('%.0f', math.floor(us / 1000000)), string.format('%.0f', us % 1000000) }
  elseif name == 'GET' then return values[key] or false
  elseif name == 'SET' then
    assert(string.find(ms, '^%d+$'), ms)
    values[key], expires[key] = value, us + tonumber(ms) * 1000
    return { ok = 'OK' }
  elseif name == 'DEL' then
    values[key], expires[key] = nil, nil
    return 1
  elseif name == 'PTTL' then return expires[key] and math.floor((expires[key] - us) / 1000) or -2 end
  error(name)
end
redis = { call = run, pcall = run }
local numbers
local function bytes(n, size)
  local all = {}
  for i = size, 1, -1 do all[i], n = string.char(n % 256), math.floor(n / 256) end
  assert(n == 0)
  return table.concat(all)
end
local function number(s, from, to)
  local n = 0
  for i = from, to do n = n * 256 + string.byte(s, i) end
  return n
end
struct = {
  unpack = function(format, s, at)
    if format == '>BI6I5' then return number(s, 1, 1), number(s, 2, 7), number(s, 8, 12), 13 end
    if format == '>f' then
      local n = number(s, 1, 4)
      return n % 2 ^ 24 / 2 ^ 24 * 2 ^ (math.floor(n / 2 ^ 24) - 64)
    end
    local first = ((at or 1) - 1) / 39 * 9 + 1
    assert(first % 1 == 0 and string.find(string.gsub(format, 'BBBHHdddd', '#'), '^>#+$'), format)
    return (unpack or table.unpack)(numbers, first, first + #format - 2)
  end,
  pack = function(format, ...)
    local all = { ... }
    if format == '>BI6I5' then return bytes(all[1], 1) .. bytes(all[2], 6) .. bytes(all[3], 5) end
    if format == '>f' then -- not as IEEE 754 has it
      local m, e = all[1], 64
      while m >= 1 do m, e = m / 2, e + 1 end
      while m < 0.5 do m, e = m * 2, e - 1 end
      return bytes(e * 2 ^ 24 + math.floor(m * 2 ^ 24), 4)
    end
    for i = 1, #all do all[i] = string.format('%.0f', all[i]) end
    return table.concat(all, ' ')
  end,
}
local function decide(advance, keys, ...)
  us, numbers, KEYS = us + advance, { ... }, keys
  ARGV = { string.rep('x', 39 * #numbers / 9) }
  print(script())
  for i = 1, #keys do print((string.gsub(values[keys[i]] or 'nil', '.', function(c) return string.byte(c) .. ' ' end))) end
end
`

// The script decides the same under each Lua that a server may have: numbers of Lua 5.4 are
// integers or not, and %d wants an integer there.
func TestScriptUnderEachLua(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "function script()\n%s\nend\n%s", applyScript, luaServer)
	rnd := rand.New(rand.NewPCG(1, 4))
	var limits []terms
	for i, n := range []struct {
		count  int64
		period time.Duration
		burst  int64
	}{
		{7, 3 * time.Second, 5},
		{100, time.Minute, 0},
		{10, 24 * time.Hour, 0},
		{1, 365 * 24 * time.Hour, 3},
		{1e10, 24 * time.Hour, 1 << 40},
	} {
		l, err := store.NewLimit("r", i%3, n.count, n.period, n.burst)
		require.NoError(t, err)
		limits = append(limits, termsOf(l))
	}
	for range 2000 {
		size := 1 + rnd.IntN(3)
		fmt.Fprintf(&b, "decide(%d, {'k%d'}", rnd.Int64N(1<<rnd.IntN(32))-rnd.Int64N(1<<rnd.IntN(25)), rnd.IntN(3))
		for i := range size {
			l, key, bucket := limits[rnd.IntN(len(limits))], 1, i+1
			if i == 0 {
				bucket = size
			}
			kind := rnd.IntN(5)
			if i == 0 {
				kind += leads * rnd.IntN(2)
			}
			fmt.Fprintf(&b, ",%d,%d,%d,%d,%d,%d.0,%d.0,%d.0,%d.0",
				kind, class(l.burst), i+1, key, bucket, l.num*rnd.Int64N(4), l.num, l.den, l.fill())
		}
		b.WriteString(")\n")
	}
	want := ""
	for _, lua := range []string{"lua5.1", "luajit", "lua5.4"} {
		out := runLua(t, lua, b.String())
		if want == "" {
			want = out
		}
		require.Greater(t, strings.Count(want, "\n"), 3000)
		assert.True(t, want == out, "%s and lua5.1 differ", lua)
	}
}

// runLua returns what a program prints.
func runLua(t *testing.T, lua, text string) string {
	program := filepath.Join(t.TempDir(), "program.lua")
	require.NoError(t, os.WriteFile(program, []byte(text), 0o600))
	path, err := exec.LookPath(lua)
	require.NoError(t, err, "apt-get install lua5.1 luajit lua5.4 (Debian)")
	out, err := exec.CommandContext(t.Context(), path, program).CombinedOutput()
	require.NoError(t, err, "%s: %s", lua, out)
	return string(out)
}

// Versions of a rule with one limit, and with one or two slower limits more, allow at most what
// this limit allows, also after they were idle.
func TestSlowerLimitsMoreInScript(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		of := func(index int, count int64, period time.Duration, burst int64) terms {
			l, err := store.NewLimit("r", index, count, period, burst)
			require.NoError(t, err)
			return termsOf(l)
		}
		burst := 1 + rnd.Int64N(9)
		one := of(0, 1+rnd.Int64N(9), time.Minute, burst)
		slower := func(index int) terms { return of(index, 1, time.Duration(16+rnd.IntN(2000))*time.Minute, 20) }
		versions := [][]terms{{one}, {slower(0), one}, {of(0, 1, 365*24*time.Hour, 100), one, slower(7)}}
		places := [][]int{{1}, {1, 4}, {1, 4, 8}}

		var b strings.Builder
		fmt.Fprintf(&b, "function script()\n%s\nend\n%s", applyScript, luaServer)
		type call struct {
			version    int
			kind       store.Kind
			cost, wait int64
		}
		var calls []call
		for range 500 {
			c := call{version: rnd.IntN(2 + int(seed%2)), cost: 1 + rnd.Int64N(burst)}
			c.kind = []store.Kind{store.Take, store.Take, store.Take, store.Peek, store.TakeUpTo}[rnd.IntN(5)]
			switch rnd.IntN(6) {
			case 0:
				c.wait = rnd.Int64N(15e6)
			case 1:
				c.wait = rnd.Int64N(2400e6)
			}
			calls = append(calls, c)
			fmt.Fprintf(&b, "decide(%d, {'k'}", c.wait)
			for i, l := range versions[c.version] {
				kind, bucket := int(c.kind), i+1
				if i == 0 {
					kind, bucket = kind+leads, len(versions[c.version])
				}
				fmt.Fprintf(&b, ",%d,%d,%d,1,%d,%d.0,%d.0,%d.0,%d.0",
					kind, class(l.burst), places[c.version][i], bucket, l.num*c.cost, l.num, l.den, l.fill())
			}
			b.WriteString(")\n")
		}
		lines := strings.Split(runLua(t, "lua5.1", b.String()), "\n")
		debt, allowed := int64(0), 0
		for i, c := range calls {
			debt = max(debt-c.wait*one.den, 0)
			taken := takenIn(t, lines[2*i], versions[c.version], c.kind, c.cost)
			debt += taken * one.num
			if c.kind == store.Take && taken > 0 {
				allowed++
			}
			require.LessOrEqual(t, debt, one.fill(), "seed %d, call %d", seed, i)
		}
		require.Greater(t, allowed, 20)
	}
}

// A key lasts up to two milliseconds longer than its bucket needs. That hides no version with a
// faster limit, even if its token takes less.
func TestExpiryOfAFastLimit(t *testing.T) {
	fast, err := store.NewLimit("r", 0, 10_000, time.Second, 0)
	require.NoError(t, err)
	slower, err := store.NewLimit("r", 0, 5000, time.Second, 0)
	require.NoError(t, err)
	f, s := termsOf(fast), termsOf(slower)
	for spent := range int64(40) {
		out := runLua(t, "lua5.1", fmt.Sprintf("function script()\n%s\nend\n%s", applyScript, luaServer)+fmt.Sprintf(
			"decide(0, {'k'},8,%d,1,1,1,%d.0,%d.0,%d.0,%d.0)\n", class(f.burst), spent*f.num, f.num, f.den, f.fill())+fmt.Sprintf(
			"decide(0, {'k'},8,%d,1,1,2,0,%d.0,%d.0,%d.0,0,%d,4,1,2,0,%d.0,%d.0,%d.0)\n",
			class(s.burst), s.num, s.den, s.fill(), class(f.burst), f.num, f.den, f.fill()))
		assert.Equal(t, fmt.Sprint(spent*f.num), strings.Fields(strings.Split(out, "\n")[2])[2])
	}
}

// takenIn returns how many tokens a batch on all limits took of each, by the reply of the script.
func takenIn(t *testing.T, reply string, limits []terms, kind store.Kind, cost int64) int64 {
	taken, numbers := cost, strings.Fields(reply)
	for i, l := range limits {
		found, err := strconv.ParseInt(numbers[2*i], 10, 64)
		require.NoError(t, err)
		taken = min(taken, max(l.fill()-found, 0)/l.num)
	}
	if kind == store.Peek || kind == store.Take && taken < cost {
		return 0
	}
	return taken
}

// The script and its client have the same classes of bursts.
func TestClassesOfBursts(t *testing.T) {
	var list []string
	for i, burst := range bursts {
		list = append(list, fmt.Sprint(burst))
		assert.Equal(t, i, class(burst-1))
		assert.Equal(t, i+1, class(burst))
	}
	assert.Contains(t, applyScript, "local BURSTS = { "+strings.Join(list, ", ")+" }")
	assert.Less(t, len(bursts), 12, "a word has room for no more")
}
