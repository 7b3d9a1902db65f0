package policyfile

import _ "embed"

// Schema is the JSON Schema (draft 2020-12) of a policy file, for editors and for checks without
// Go. It accepts every file that [Parse] accepts. It knows nothing of names that a program gives,
// of limits as text, and of what a limiter checks, so Parse finds more mistakes.
//
//go:embed schema.json
var Schema string
