// Package faults has only tests. They show what callers see while a server of Redis is stopped,
// killed, slow, cut off, full, failing over, or lying. README.md has the table of the results. The
// package is a module of its own because of its dependencies.
package faults
