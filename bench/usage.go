package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has taken of the machine.
type usage struct {
	cpu                time.Duration
	residentMB, peakMB float64
}

// Linux counts CPU time in hundredths of a second, whatever the kernel's own tick.
const tick = 10 * time.Millisecond

func usageOf(pid int) (usage, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return usage{}, err
	}
	// The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("%sstat: %q is not understood", dir, stat)
	}
	var u usage
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return usage{}, fmt.Errorf("%sstat: %w", dir, err)
		}
		u.cpu += time.Duration(n) * tick
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*float64{"VmRSS": &u.residentMB, "VmHWM": &u.peakMB}[name]
		if into == nil {
			continue
		}
		kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
		if err != nil {
			return usage{}, fmt.Errorf("%sstatus: %w", dir, err)
		}
		*into = kilobytes * 1024 / 1e6
	}
	return u, nil
}

// loadAverage is how many processes wanted a CPU at once in the last minute.
func loadAverage() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.Fields(string(text))[0], 64)
}
