package main

import (
	"bytes"
	"go/scanner"
	"go/token"
	"regexp"
)

// hidden replaces bytes that are not prose. It is no white space, so that words before and after
// it are not read as one phrase.
const hidden = 0

// goComments returns source with everything but its comments hidden. Line breaks stay. So do the
// positions of all bytes.
func goComments(source []byte) []byte {
	prose := bytes.Clone(source)
	hide(prose, 0, len(prose))

	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, func(token.Position, string) {}, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return prose
		}
		if tok != token.COMMENT {
			continue
		}
		start := file.Offset(pos)
		end := start + len(text)
		copy(prose[start:end], source[start:end])
		blank(prose, start, start+2) // the comment sign
		if text[1] == '*' {
			blank(prose, end-2, end)
		} else if len(text) > 2 && text[2] == '\t' {
			hide(prose, start, end) // a code block in a doc comment
		}
		// Indentation before a comment must not part its lines.
		for i := start - 1; i >= 0 && (source[i] == '\t' || source[i] == ' '); i-- {
			prose[i] = ' '
		}
	}
}

var (
	fence      = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	inlineCode = regexp.MustCompile("``[^`]*``|`[^`\n]*`")
	address    = regexp.MustCompile(`\]\([^)\s]*\)|https?://\S+`)
)

// markdownProse returns text with code, link targets and addresses hidden.
func markdownProse(text []byte) []byte {
	prose := bytes.Clone(text)
	for _, code := range []*regexp.Regexp{fence, inlineCode, address} {
		for _, at := range code.FindAllIndex(prose, -1) {
			hide(prose, at[0], at[1])
		}
	}
	return prose
}

// hide hides prose[from:to] except line breaks.
func hide(prose []byte, from, to int) { replace(prose, from, to, hidden) }

// blank puts spaces for prose[from:to] except line breaks.
func blank(prose []byte, from, to int) { replace(prose, from, to, ' ') }

func replace(prose []byte, from, to int, by byte) {
	for i := from; i < to; i++ {
		if prose[i] != '\n' {
			prose[i] = by
		}
	}
}
