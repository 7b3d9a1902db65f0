package proof

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// promtool runs a command of promtool, which must succeed, and returns what it writes.
func promtool(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "promtool %s\n%s", strings.Join(args, " "), out)
	return string(out)
}

func TestAlertRulesAreValid(t *testing.T) {
	assert.Contains(t, promtool(t, nil, "check", "rules", "--lint-fatal", alerts(t)), "11 rules found")
}

func TestEachAlertFiresWhenItShould(t *testing.T) {
	tests := strings.TrimSuffix(alerts(t), ".yaml") + "_test.yaml"
	assert.Contains(t, promtool(t, nil, "test", "rules", tests), "SUCCESS")
}
