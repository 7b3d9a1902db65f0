//go:build !unix

package pgtest

import (
	"os"
	"os/exec"
)

func giveAway(string) error { return nil }

func command(program string, args ...string) *exec.Cmd { return exec.Command(program, args...) }

// Pause needs signals.
func (s *Server) Pause() { s.tb.Fatal("pgtest: a process cannot be paused on this system") }

// Resume is the end of Pause.
func (s *Server) Resume() {}

func (s *Server) processes() []*os.Process { return []*os.Process{s.cmd.Process} }
