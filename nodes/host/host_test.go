package host

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMeasure(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	s, err := New().Measure(t.Context(), Want{Include: Metrics, Paths: []string{"/", missing}, TopProcesses: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(s.System)); !slices.Equal(got, slices.Sorted(slices.Values(Metrics))) {
		t.Errorf("metrics %v", got)
	}
	if age := time.Since(s.At); s.Host == "" || age < 0 || age > 10*time.Second {
		t.Errorf("host %q, taken %v ago", s.Host, age)
	}

	cpu := s.System["cpu"].(map[string]any)
	if n := cpu["count_logical"].(int); n < cpu["count"].(int) || cpu["count"].(int) < 1 || len(cpu["per_cpu"].([]any)) != n {
		t.Errorf("cpu %v", cpu)
	}
	memory := s.System["memory"].(map[string]any)
	if p := memory["percent"].(float64); p <= 0 || p > 100 || memory["total_gb"].(float64) < memory["available_gb"].(float64) {
		t.Errorf("memory %v", memory)
	}
	disks := s.System["disk"].([]any)
	if root := disks[0].(map[string]any); root["path"] != "/" || root["total_gb"].(float64) <= 0 || root["percent"].(float64) > 100 {
		t.Errorf("disk %v", root)
	}
	broken := disks[1].(map[string]any)
	if text, _ := broken["error"].(string); broken["path"] != missing || text == "" || broken["percent"] != nil {
		t.Errorf("a path that is not there gives %v", broken)
	}
	if !slices.ContainsFunc(s.Failed, func(f string) bool { return f == "disk of "+missing+" "+broken["error"].(string)+"." }) {
		t.Errorf("failed: %q", s.Failed)
	}
	if processes := s.System["processes"].([]any); len(processes) == 0 || len(processes) > 3 {
		t.Errorf("%d processes", len(processes))
	}
	if name := s.System["host"].(map[string]any)["hostname"]; name != s.Host {
		t.Errorf("host name %v, not %q", name, s.Host)
	}
}

func TestOnePathIsOneObject(t *testing.T) {
	t.Parallel()
	s, err := New().Measure(t.Context(), Want{Include: []string{"disk", "inodes"}, Paths: []string{"/"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"disk", "inodes"} {
		if o, ok := s.System[metric].(map[string]any); !ok || o["path"] != "/" {
			t.Errorf("%s %v", metric, s.System[metric])
		}
	}
	if len(s.System) != 2 {
		t.Errorf("only what was asked for: %v", s.System)
	}
}

// The test computes while it measures itself: a first reading alone would say 0.
func TestProcessCPUIsMeasured(t *testing.T) {
	t.Parallel()
	ballast := bytes.Repeat([]byte{1}, 128<<20)
	defer runtime.KeepAlive(ballast)
	stop := make(chan struct{})
	var burn sync.WaitGroup
	burn.Go(func() {
		for {
			select {
			case <-stop:
				return
			default: // burn
				runtime.KeepAlive(stop)
			}
		}
	})
	defer burn.Wait()
	defer close(stop)
	for range 10 { // a machine that is very busy may give this process no time in one interval
		list, err := processUse(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list.([]any), func(p any) bool { return p.(map[string]any)["pid"] == os.Getpid() })
		if i < 0 {
			t.Fatal("this process, which holds 128 MB, is not in the list")
		}
		p := list.([]any)[i].(map[string]any)
		if p["memory_percent"].(float64) <= 0 || p["name"] == "" {
			t.Fatalf("this process: %v", p)
		}
		if p["cpu_percent"].(float64) > 0 {
			return
		}
	}
	t.Error("a process that computes all the time has no CPU percentage")
}

func TestShared(t *testing.T) {
	t.Parallel()
	t.Run("a storm measures once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var s shared
			var count atomic.Int32
			measure := func(context.Context) (any, error) {
				time.Sleep(interval)
				return count.Add(1), nil
			}
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() {
					if got, err := s.get(t.Context(), "cpu", measure); err != nil || got.value != int32(1) {
						t.Errorf("got %v, %v", got.value, err)
					}
				})
			}
			wg.Wait()
			time.Sleep(fresh)
			if got, _ := s.get(t.Context(), "cpu", measure); got.value != int32(2) {
				t.Errorf("after %v the old measurement %v is still used", fresh, got.value)
			}
		})
	})
	t.Run("nobody waits for a file system that hangs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var s shared
			var count atomic.Int32
			server := make(chan struct{})
			hang := func(context.Context) (any, error) {
				count.Add(1)
				<-server
				return nil, errors.New("stale")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := s.get(ctx, "disk /net", hang); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			if _, err := s.get(t.Context(), "disk /net", hang); err == nil || err.Error() != "no answer within 5s" {
				t.Errorf("error %v", err)
			}
			close(server)
			if n := count.Load(); n != 1 {
				t.Errorf("%d calls hang, want 1", n)
			}
		})
	})
	t.Run("errors are not kept", func(t *testing.T) {
		t.Parallel()
		var s shared
		_, err := s.get(t.Context(), "k", func(context.Context) (any, error) { return nil, errors.New("no") })
		got, err2 := s.get(t.Context(), "k", func(context.Context) (any, error) { return 7, nil })
		if err == nil || err2 != nil || got.value != 7 {
			t.Errorf("%v, then %v, %v", err, got.value, err2)
		}
	})
}

func TestMeasureEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New().Measure(ctx, Want{Include: []string{"cpu"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
