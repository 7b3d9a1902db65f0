//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime returns the time that the processors have spent on this process, in all of its threads.
func cpuTime() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
