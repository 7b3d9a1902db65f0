package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

// home is where the repository is on the web. Links below it are checked as relative links.
const home = "https://github.com/ratelimit-go/ratelimit/blob/main/"

var (
	codeBlock  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	definition = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)`)
	heading    = regexp.MustCompile(`(?m)^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// checkLinks returns a line per relative link in a Markdown file of root that leads nowhere.
func checkLinks(root string) ([]string, error) {
	files, err := repo.Files(root, repo.IsMarkdown)
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		prose := blank(blank(string(text), codeBlock), inlineCode)
		for _, pattern := range []*regexp.Regexp{link, definition} {
			for _, at := range pattern.FindAllStringSubmatchIndex(prose, -1) {
				target := prose[at[2]:at[3]]
				if why := follow(root, name, target); why != "" {
					line := 1 + strings.Count(prose[:at[2]], "\n")
					broken = append(broken, fmt.Sprintf("%s:%d: link to %s: %s", name, line, target, why))
				}
			}
		}
	}
	return broken, nil
}

// blank removes what pattern matches, except line breaks.
func blank(text string, pattern *regexp.Regexp) string {
	return pattern.ReplaceAllStringFunc(text, func(code string) string {
		return strings.Repeat("\n", strings.Count(code, "\n"))
	})
}

// follow returns why a link in the file from leads nowhere, or nothing.
func follow(root, from, target string) string {
	base := path.Dir(from)
	if rest, ok := strings.CutPrefix(target, home); ok {
		target, base = rest, "."
	}
	if strings.Contains(target, ":") {
		return "" // https:, mailto:
	}
	file, anchor, _ := strings.Cut(target, "#")
	if file == "" {
		file = from
	} else {
		file = path.Join(base, file)
	}
	full := filepath.Join(root, filepath.FromSlash(file))
	if _, err := os.Stat(full); err != nil {
		return "no such file"
	}
	if anchor == "" || !repo.IsMarkdown(file) {
		return ""
	}
	text, err := os.ReadFile(full)
	if err != nil {
		return err.Error()
	}
	if !anchors(string(text))[anchor] {
		return "no such heading"
	}
	return ""
}

// anchors returns the anchors that GitHub gives the headings of a document.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, found := range heading.FindAllStringSubmatch(blank(text, codeBlock), -1) {
		slug := slug(linkText.ReplaceAllString(found[1], "$1"))
		name := slug
		for n := 1; all[name]; n++ {
			name = fmt.Sprintf("%s-%d", slug, n)
		}
		all[name] = true
	}
	return all
}

// slug keeps letters, digits, hyphens and underscores, in lower case, and makes spaces hyphens.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}
