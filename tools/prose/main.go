// Prose checks comments and documents against a list of words, and the width of lines.
//
//	usage: prose [-root DIR] [-words FILE] [DIR|FILE...]
//
// Without arguments it reads every Go and Markdown file of the repository except CHANGELOG.md.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

func main() {
	root := flag.String("root", "..", "the root of the repository")
	words := flag.String("words", "words.txt", "the list of words")
	flag.Parse()

	found, err := check(*root, *words, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "prose:", err)
		os.Exit(2)
	}
	for _, f := range found {
		fmt.Println(f)
	}
	if len(found) > 0 {
		fmt.Fprintf(os.Stderr, "prose: %d findings\n", len(found))
		os.Exit(1)
	}
}

// check returns a line per finding in the files of root below any of the paths only.
func check(root, words string, only []string) ([]string, error) {
	list, err := readWords(words)
	if err != nil {
		return nil, err
	}
	files, err := repo.Files(root, func(name string) bool { return wanted(name, only) })
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		found = append(found, checkFile(name, text, list)...)
	}
	return found, nil
}

func checkFile(name string, text []byte, list []word) []string {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if repo.IsMarkdown(name) {
		return checkWords(name, markdownProse(text), list)
	}
	comments := goComments(text)
	return append(checkWords(name, comments, list), checkWidth(name, text, comments)...)
}

func wanted(name string, only []string) bool {
	if !repo.IsGo(name) && !repo.IsMarkdown(name) || name == "CHANGELOG.md" {
		return false
	}
	for _, prefix := range only {
		prefix = strings.TrimSuffix(strings.TrimPrefix(prefix, "./"), "/")
		if name == prefix || strings.HasPrefix(name, prefix+"/") {
			return true
		}
	}
	return len(only) == 0
}
