// Package proof tests package ratelimit with tools that share no code with it: a parser of RFC
// 9651, rational numbers, a checker of linearizability, and a detector of leaked goroutines. It is
// its own module, so that the root module does not depend on these tools.
package proof
