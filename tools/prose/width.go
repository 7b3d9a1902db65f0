package main

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

// The widest lines allowed, in columns. A tab counts as tabWidth columns.
const (
	commentWidth = 100
	codeWidth    = 110
	testWidth    = 140
	tabWidth     = 4
)

// checkWidth returns a line per line of a Go file that is too wide. comments is what goComments
// returns for source. A comment line with an address in it may have any width, and so may the
// output of an example.
func checkWidth(name string, source, comments []byte) []string {
	var found []string
	prose := bytes.Split(comments, []byte("\n"))
	output := false // whether the line is in the output of an example
	for i, line := range bytes.Split(source, []byte("\n")) {
		limit, what := codeWidth, "code"
		if repo.IsTest(name) {
			limit = testWidth
		}
		if comment := isComment(line, prose[i]); !comment {
			output = false
		} else {
			output = output || bytes.HasSuffix(line, []byte("// Output:"))
			if output || bytes.Contains(line, []byte("://")) {
				continue
			}
			limit, what = commentWidth, "comment"
		}
		if n := columns(line); n > limit {
			text := fmt.Sprintf("%s:%d: %s of %d columns: want at most %d", name, i+1, what, n, limit)
			found = append(found, text)
		}
	}
	return found
}

// isComment reports whether a line is nothing but comment, so that no byte in it is hidden code.
func isComment(line, prose []byte) bool {
	text := bytes.TrimLeft(line, " \t")
	if bytes.HasPrefix(text, []byte("//")) {
		return true
	}
	return len(text) > 0 && bytes.IndexByte(prose, hidden) < 0
}

func columns(line []byte) int {
	return utf8.RuneCount(line) + (tabWidth-1)*bytes.Count(line, []byte("\t"))
}
