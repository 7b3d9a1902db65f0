package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// word is a line of the list.
type word struct {
	phrase  *regexp.Regexp
	instead string
}

func readWords(file string) ([]word, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []word
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		phrase, instead, ok := strings.Cut(line, " -> ")
		if !ok {
			return nil, fmt.Errorf("%s:%d: want phrase -> instead", file, i+1)
		}
		pattern := `(?i)\b(?:` + strings.ReplaceAll(phrase, " ", `\s+`) + `)\b`
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
		list = append(list, word{compiled, instead})
	}
	return list, nil
}

// checkWords returns a line per word of the list in prose.
func checkWords(name string, prose []byte, list []word) []string {
	var found []string
	for _, w := range list {
		for _, at := range w.phrase.FindAllIndex(prose, -1) {
			line := 1 + bytes.Count(prose[:at[0]], []byte("\n"))
			phrase := strings.Join(strings.Fields(string(prose[at[0]:at[1]])), " ")
			found = append(found, fmt.Sprintf("%s:%d: %q: write %s", name, line, phrase, w.instead))
		}
	}
	return found
}
