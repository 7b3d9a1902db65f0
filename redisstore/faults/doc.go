// Package faults holds only tests: what callers see of a store in Redis while it is stopped,
// killed, slow, cut off, full, failing over or lying. FAULTS.md beside it is the table of
// what they found. It is a module of its own for the sake of what it needs.
package faults
