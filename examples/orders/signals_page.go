package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// openedPage is the live page, as a browser keeps it open: it follows the stream of the page.
type openedPage struct {
	signs []string
	close func()

	mu  sync.Mutex
	row string
	at  time.Time
}

// openPage opens the stream of the page at url, as the administrator.
func openPage(ctx context.Context, url string, signs []string) (*openedPage, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"events", nil)
	if err != nil {
		cancel()
		return nil, err
	}
	r.SetBasicAuth(adminName, adminPassword)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		cancel()
		return nil, err
	}
	p := &openedPage{signs: signs, close: cancel}
	if resp.StatusCode != http.StatusOK {
		cancel()
		return nil, fmt.Errorf("the page answers with status %d", resp.StatusCode)
	}
	go func() {
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.update(lines.Text())
		}
	}()
	return p, nil
}

// update reads one line of the stream.
func (p *openedPage) update(line string) {
	data, ok := strings.CutPrefix(line, "data: ")
	var frame struct{ HTML map[string]string }
	if !ok || json.Unmarshal([]byte(data), &frame) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.row != "" {
		return
	}
	if p.row = found(frame.HTML, p.signs); p.row != "" {
		p.at = time.Now()
	}
}

// seen returns the first row with a sign of the attack, and when it was on the page.
func (p *openedPage) seen() (row string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.row, p.at
}

var rowKey = regexp.MustCompile(`<tr data-key="([^"]*)"`)

// found returns the first row that begins with one of the signs. A row is a rule and a key under
// "Would be denied", or a rule in the table of rules that would deny requests.
func found(sections map[string]string, signs []string) string {
	var rows []string
	for _, key := range rowKey.FindAllStringSubmatch(sections["dryrun"], -1) {
		rows = append(rows, html.UnescapeString(key[1]))
	}
	for row := range strings.SplitSeq(sections["rules"], "</tr>") {
		key := rowKey.FindStringSubmatch(row)
		if key != nil && strings.Contains(row, `title="would be denied"`) {
			rows = append(rows, "rule "+html.UnescapeString(key[1]))
		}
	}
	for _, row := range rows {
		if slices.ContainsFunc(signs, func(sign string) bool { return strings.HasPrefix(row, sign) }) {
			return row
		}
	}
	return ""
}
