// Package proof tests package ratelimit by means that have nothing in common with it: a parser
// of RFC 9651, rational numbers, a checker of linearizability, a detector of leaked goroutines.
// It is a module of its own so that the root module needs none of them.
package proof
