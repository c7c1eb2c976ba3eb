package console_test

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/drivers/notify"
	"penstock/drivers/notify/console"
	"penstock/drivers/notify/notifytest"
	"penstock/fault"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestSuite(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, notifytest.Target{Kind: console.Kind})
}

func TestOutput(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	deps := notify.Deps{Out: &out, Now: func() time.Time { return time.Date(2026, 11, 22, 12, 1, 0, 0, time.UTC) }}
	driver, err := console.Kind(deps).Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m := notifytest.Message()
	m.Channel = "#incidents"
	for _, m := range []notify.Message{m, notifytest.Resolved()} {
		if _, err := driver.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	notifytest.Golden(t, "console.golden.txt", out.Bytes(), *update)
}

// Each message must arrive in one Write, under one lock for all drivers of the kind.
func TestMessagesDoNotMix(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer // not safe for concurrent use: the race detector watches
	kind := console.Kind(notify.Deps{Out: &out, Now: time.Now})
	var wg sync.WaitGroup
	for range 20 {
		driver, err := kind.Build(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, _ = driver.Send(t.Context(), notifytest.Message()) })
	}
	wg.Wait()
	if got := strings.Count(out.String(), "Z Disk is 95 % full\n"); got != 20 {
		t.Errorf("%d whole messages of 20", got)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestFailedWriteIsReported(t *testing.T) {
	t.Parallel()
	driver, err := console.Kind(notify.Deps{Out: broken{}, Now: time.Now}).Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = driver.Send(t.Context(), notifytest.Message())
	if _, retry := fault.Retryable(err); !retry {
		t.Error(err)
	}
}
