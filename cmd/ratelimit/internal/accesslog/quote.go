package accesslog

import "github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"

// quote returns text of a line in quotes, for messages.
func quote(s string) string { return `"` + plain.Text(s, 60) + `"` }
