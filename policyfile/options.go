package policyfile

import (
	"context"
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/shed"
)

// Options are what a program adds to a policy file: functions that the file calls by name, and the
// part of the Config that no file has. The zero Options has none. A name in a map is as in the
// file. All functions must be safe for concurrent use.
type Options struct {
	_ [0]func()

	// Config is the Config that the file completes: its Store, Hooks, DenyHandler and Clock are not
	// in the file. A field of the file replaces the field of Config. Rules, Routes, Budgets,
	// ExemptRoutes, Exempt, Allow and Deny must be empty, because they are in the file only.
	Config ratelimit.Config
	// Shedder is the Config that the shedder of the file completes in the same way: its
	// DenyHandler, OnDenied and OnError are not in the file.
	Shedder shed.Config

	// Keys are keys by name, such as "user", for the field key. The names "client_ip" and "pattern"
	// have a meaning already.
	Keys map[string]ratelimit.Keyer
	// Keyers, if non-nil, returns the key of a name that Keys does not have, or nil if there is no
	// such key. Parse calls it for each use of a name.
	Keyers func(name string) ratelimit.Keyer
	// LimitsFor are functions for the field limits_for: see [ratelimit.Rule].LimitsFor.
	LimitsFor map[string]func(ctx context.Context, key ratelimit.Key) ratelimit.Limits
	// Requests are conditions on requests, for the fields skip, exempt and trusted_if.
	Requests map[string]func(r *http.Request) bool
	// Responses are conditions on responses, for the fields count_only, when, succeeded and failed.
	// The name "failures" means [ratelimit.Failures].
	Responses map[string]func(res ratelimit.Response) bool
	// Accounts find the account of a login, for the field account: see login.Config.Account.
	Accounts map[string]func(r *http.Request) string
	// Priorities are functions for the field priority of the shedder: see shed.Config.Priority.
	Priorities map[string]func(r *http.Request) shed.Priority

	// AnyName accepts names that the maps and Keyers do not have. Use it to check the file of
	// another program, and never to serve requests. Such a key is missing in every request, such a
	// condition is false, and such a limits_for chooses no limits. File.Unknown lists the names.
	AnyName bool
}
