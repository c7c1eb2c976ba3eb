package host

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"
	"github.com/shirou/gopsutil/v3/process"
)

// interval is the time between the two readings of everything that is a rate.
const interval = 300 * time.Millisecond

// takers measure the metrics that have no paths.
var takers = map[string]func(context.Context) (any, error){
	"cpu": cpuUse, "memory": memoryUse, "processes": processUse, "load": loadAverage,
	"network": networkUse, "host": hostFacts, "temperature": temperatures,
}

func cpuUse(ctx context.Context) (any, error) {
	perCPU, err := cpu.PercentWithContext(ctx, interval, true)
	if err != nil {
		return nil, err
	}
	logical, err := cpu.CountsWithContext(ctx, true)
	if err != nil {
		return nil, err
	}
	physical, err := cpu.CountsWithContext(ctx, false)
	if err != nil || physical == 0 { // some virtual machines and boards do not tell
		physical = logical
	}
	sum, each := 0.0, make([]any, len(perCPU))
	for i, percent := range perCPU {
		sum += percent
		each[i] = round(percent)
	}
	return map[string]any{
		"percent": round(sum / float64(max(len(perCPU), 1))), "count": physical, "count_logical": logical, "per_cpu": each,
	}, nil
}

// memoryUse counts what programs cannot get as used, like psutil and free: total − available.
func memoryUse(ctx context.Context) (any, error) {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]any{
		"total_gb": gb(m.Total), "available_gb": gb(m.Available), "used_gb": gb(m.Total - min(m.Available, m.Total)),
		"percent": percent(m.Total-min(m.Available, m.Total), m.Total),
	}
	if s, err := mem.SwapMemoryWithContext(ctx); err == nil {
		out["swap_total_gb"], out["swap_used_gb"], out["swap_percent"] = gb(s.Total), gb(s.Used), percent(s.Used, s.Total)
	}
	return out, nil
}

// diskUse is what df says: percent is of the space that users can have.
func diskUse(ctx context.Context, path string) (any, error) {
	u, err := disk.UsageWithContext(ctx, path)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"path": path, "total_gb": gb(u.Total), "used_gb": gb(u.Used), "free_gb": gb(u.Free), "percent": percent(u.Used, u.Used+u.Free),
	}, nil
}

func inodeUse(ctx context.Context, path string) (any, error) {
	u, err := disk.UsageWithContext(ctx, path)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"path": path, "total": u.InodesTotal, "used": u.InodesUsed, "free": u.InodesFree, "percent": percent(u.InodesUsed, u.InodesTotal),
	}, nil
}

// processUse lists the processes that hold most memory. CPU is measured between two readings; 100 is
// one whole processor.
func processUse(ctx context.Context) (any, error) {
	running, err := process.ProcessesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, err
	}
	type reading struct {
		process *process.Process
		memory  uint64
		seconds float64
		at      time.Time
	}
	var readings []reading
	for _, p := range running {
		if m, err := p.MemoryInfoWithContext(ctx); err == nil { // else it has ended, or is not ours to read
			readings = append(readings, reading{process: p, memory: m.RSS})
		}
	}
	slices.SortStableFunc(readings, func(a, b reading) int { return cmp.Compare(b.memory, a.memory) })
	readings = readings[:min(len(readings), MaxProcesses)]
	for i := range readings {
		readings[i].seconds, readings[i].at = cpuSeconds(ctx, readings[i].process), time.Now()
	}
	if err := wait(ctx); err != nil {
		return nil, err
	}
	list := make([]any, 0, len(readings))
	for _, r := range readings {
		seconds, name := cpuSeconds(ctx, r.process), ""
		if name, err = r.process.NameWithContext(ctx); err != nil || seconds < r.seconds {
			continue // it ended meanwhile
		}
		list = append(list, map[string]any{
			"pid": int(r.process.Pid), "name": name,
			"cpu_percent":    round((seconds - r.seconds) / time.Since(r.at).Seconds() * 100),
			"memory_percent": percent(r.memory, memory.Total),
		})
	}
	return list, ctx.Err()
}

// CountProcesses counts the running processes of a program by its name.
func CountProcesses(ctx context.Context, name string) (int, error) {
	running, err := process.ProcessesWithContext(ctx)
	n := 0
	for _, p := range running {
		if found, err := p.NameWithContext(ctx); err == nil && found == name { // else it has ended
			n++
		}
	}
	return n, err
}

// cpuSeconds is the time that a process has computed, −1 if it is not there.
func cpuSeconds(ctx context.Context, p *process.Process) float64 {
	t, err := p.TimesWithContext(ctx)
	if err != nil {
		return -1
	}
	return t.User + t.System
}

func loadAverage(ctx context.Context) (any, error) {
	l, err := load.AvgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{"load1": round(l.Load1), "load5": round(l.Load5), "load15": round(l.Load15)}, nil
}

// networkUse is the traffic of all interfaces but loopback; errors and drops count since the start
// of the machine.
func networkUse(ctx context.Context) (any, error) {
	before, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := wait(ctx); err != nil {
		return nil, err
	}
	after, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	received, sent, interfaces := 0.0, 0.0, []any{}
	for _, a := range after {
		i := slices.IndexFunc(before, func(b net.IOCountersStat) bool { return b.Name == a.Name })
		if i < 0 || a.Name == "lo" || a.Name == "lo0" || a.BytesRecv+a.BytesSent == 0 {
			continue
		}
		in, out := rate(before[i].BytesRecv, a.BytesRecv, seconds), rate(before[i].BytesSent, a.BytesSent, seconds)
		received, sent = received+in, sent+out
		interfaces = append(interfaces, map[string]any{
			"name": a.Name, "received_mb_per_s": round(in), "sent_mb_per_s": round(out),
			"errors": a.Errin + a.Errout, "drops": a.Dropin + a.Dropout,
		})
	}
	return map[string]any{"received_mb_per_s": round(received), "sent_mb_per_s": round(sent), "interfaces": interfaces}, nil
}

func hostFacts(ctx context.Context) (any, error) {
	h, err := host.InfoWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"hostname": h.Hostname, "os": h.OS, "platform": h.Platform, "platform_version": h.PlatformVersion,
		"kernel_version": h.KernelVersion, "architecture": h.KernelArch, "uptime_seconds": h.Uptime,
		"booted_at": time.Unix(int64(h.BootTime), 0).UTC().Format(time.RFC3339),
	}, nil
}

func temperatures(ctx context.Context) (any, error) {
	sensors, err := host.SensorsTemperaturesWithContext(ctx)
	if len(sensors) == 0 { // an error beside readings is about other sensors
		return nil, cmp.Or(err, errors.New("the machine shows no temperature sensors"))
	}
	list := make([]any, len(sensors))
	for i, s := range sensors {
		entry := map[string]any{"sensor": s.SensorKey, "celsius": round(s.Temperature)}
		if s.High > 0 {
			entry["high"] = round(s.High)
		}
		if s.Critical > 0 {
			entry["critical"] = round(s.Critical)
		}
		list[i] = entry
	}
	return list, nil
}

func wait(ctx context.Context) error {
	select {
	case <-time.After(interval):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rate is in MB of 1024² bytes per second; a counter that began again has none.
func rate(before, after uint64, seconds float64) float64 {
	if after < before {
		return 0
	}
	return float64(after-before) / (1 << 20) / seconds
}

func gb(bytes uint64) float64 { return round(float64(bytes) / (1 << 30)) }

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return round(float64(part) / float64(whole) * 100)
}

func round(f float64) float64 { return math.Round(f*100) / 100 }
