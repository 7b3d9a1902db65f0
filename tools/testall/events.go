package main

import (
	"encoding/json"
	"strings"
)

// event is a line of go test -json: see go doc test2json.
type event struct {
	Action      string
	ImportPath  string // of build-output
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

// packages follows the packages of a go test -json stream.
type packages struct {
	running map[string]*testedPackage // by import path
	builds  map[string]string         // output of the compiler, by import path
}

func newPackages() *packages {
	return &packages{running: map[string]*testedPackage{}, builds: map[string]string{}}
}

// line takes a line of the stream. It returns text to print, and counts once a package is done.
func (p *packages) line(line []byte) (string, totals) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		return string(line), totals{} // not an event: show it
	}
	switch {
	case e.Action == "build-output":
		p.builds[e.ImportPath] += e.Output
		return "", totals{}
	case e.Package == "":
		return "", totals{}
	}
	pkg := p.running[e.Package]
	if pkg == nil {
		pkg = &testedPackage{tests: map[string]string{}}
		p.running[e.Package] = pkg
	}
	switch e.Action {
	case "output":
		pkg.output = append(pkg.output, e)
	case "pass", "fail", "skip":
		if e.Test != "" {
			pkg.tests[e.Test] = e.Action
			return "", totals{}
		}
		delete(p.running, e.Package)
		text := p.builds[e.FailedBuild]
		delete(p.builds, e.FailedBuild) // several packages may fail on one build
		return text + pkg.text(e.Action), pkg.totals(e.Action)
	}
	return "", totals{}
}

// testedPackage is what a package's tests have said.
type testedPackage struct {
	tests  map[string]string // the result of each test and subtest that has ended
	output []event
}

func (p *testedPackage) totals(result string) totals {
	t := totals{}
	for _, action := range p.tests {
		switch action {
		case "pass":
			t.passed++
		case "fail":
			t.failed++
		case "skip":
			t.skipped++
		}
	}
	if result == "fail" && t.failed == 0 {
		t.failed++ // such as a build failure, or os.Exit
	}
	if result != "skip" { // a package without tests is skipped
		t.packages++
	}
	return t
}

// text returns the line of a package that passed. If the package failed, text leaves out only the
// output of tests that passed or were skipped. If no test failed, it leaves out nothing.
func (p *testedPackage) text(result string) string {
	failed := false
	for _, action := range p.tests {
		failed = failed || action == "fail"
	}
	var text strings.Builder
	for _, e := range p.output {
		action := p.tests[e.Test]
		var show bool
		switch {
		case result != "fail":
			show = e.Test == "" && isSummary(e.Output)
		case e.Test == "":
			show = e.Output != "PASS\n" && e.Output != "FAIL\n"
		default:
			show = (action != "pass" && action != "skip" || !failed) && !isProgress(e.Output)
		}
		if show {
			text.WriteString(e.Output)
		}
	}
	return text.String()
}

// isSummary reports whether output is the line of a package that passed or has no tests.
func isSummary(output string) bool {
	return strings.HasPrefix(output, "ok  \t") || strings.HasPrefix(output, "?   \t")
}

// isProgress reports whether go test prints output only with -v.
func isProgress(output string) bool {
	for _, prefix := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "} {
		if strings.HasPrefix(output, prefix) {
			return true
		}
	}
	return false
}
