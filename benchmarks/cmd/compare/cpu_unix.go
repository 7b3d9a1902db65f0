//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime returns the processor time of all threads of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
