package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

// testModule runs command, a "go test ./..." without -json, in m. It prints a line per package
// and the whole output of tests that failed.
func testModule(s *screen, root string, m repo.Module, command []string) totals {
	start := time.Now()
	result := totals{modules: 1}
	command = append(command[:len(command)-1:len(command)-1], "-json", command[len(command)-1])
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = filepath.Join(root, filepath.FromSlash(m.Dir))
	// GOWORK: each module is tested as its users get it, without a workspace around it.
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+cmd.Dir, withoutSleep(os.Getenv("GORACE")))
	var other bytes.Buffer // such as "go: downloading ..."
	cmd.Stderr = &other
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		read(s, events, &result)
		err = cmd.Wait()
	}
	if err != nil && result.failed == 0 {
		result.failed++
		s.print(fmt.Sprintf("FAIL\t%s [%v]\n", m.Path, err))
	}
	if result.failed > 0 {
		s.print(other.String())
	}
	took := seconds(time.Since(start))
	s.print(fmt.Sprintf("-- %s: %s in %s%s\n", m.Dir, result.counts(), took, computed(cmd)))
	return result
}

// withoutSleep returns GORACE with its options, and ends the sleep of one second at the end of each
// test binary. In this second the detector waits for goroutines that outlive the last test. No test
// leaves one behind. The root module alone has 46 such binaries.
func withoutSleep(options string) string {
	return strings.TrimSuffix("GORACE=atexit_sleep_ms=0 "+options, " ") // the last option counts
}

// computed says how long cmd and its children have used a processor. That tells a module that
// computes from a module that waits, also on a busy machine.
func computed(cmd *exec.Cmd) string {
	if cmd.ProcessState == nil {
		return "" // it did not start
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return fmt.Sprintf(", %s of processor time", seconds(used))
}

// read prints what the packages in a stream of go test -json say, and adds to result.
func read(s *screen, stream io.Reader, result *totals) {
	packages := newPackages()
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			text, done := packages.line(line)
			s.print(text)
			result.add(done)
		}
		if err != nil {
			return
		}
	}
}
