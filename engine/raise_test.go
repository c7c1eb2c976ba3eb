package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/engine"
)

// TestRaise: what a check finds is one alert from its first bad result to its first good one.
func TestRaise(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.define("check", `[{"id":"check","type":"step"}]`)
		check := func(status alerts.Status, severity alerts.Severity) engine.RunResult {
			t.Helper()
			s.script.on("check", func(ctx context.Context, in engine.Input) (engine.Output, error) {
				found := []alerts.Alert{{Fingerprint: "cpu", Name: "Check cpu", Host: "a", Status: status, Severity: severity, Summary: "CPU is at 97 %."}}
				for range 2 { // as after an attempt whose outcome was lost
					if err := in.Services.Raise(ctx, found); err != nil {
						return engine.Output{}, err
					}
				}
				return engine.Output{}, nil
			})
			r := s.run("check")
			if r.Status != db.RunCompleted {
				t.Fatalf("%s: %v", r.Status, r.Error)
			}
			return r
		}
		expect := func(want string) {
			t.Helper()
			got := ""
			for end := time.Now().Add(20 * time.Second); got != want && time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // the intake tells nobody when it is done
				list, err := s.store.Alerts(t.Context(), db.AlertFilter{Page: db.Page{First: 10}})
				if err != nil {
					t.Fatal(err)
				}
				got = ""
				for _, a := range list.Items {
					got += fmt.Sprintf("%s %s %s %s %d. ", a.Source, a.Name, a.Status, a.Severity, a.Repeats)
				}
			}
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		deliveries := func() int {
			t.Helper()
			n, err := s.store.CountDeliveries(t.Context(), db.DeliveryFilter{})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		check(alerts.Resolved, alerts.Info)
		if n := deliveries(); n != 0 {
			t.Fatalf("%d deliveries although all is well", n)
		}
		check(alerts.Firing, alerts.Warning)
		expect("check Check cpu firing warning 0. ")
		check(alerts.Firing, alerts.Warning)
		if n := deliveries(); n != 1 {
			t.Errorf("%d deliveries, want one: nothing is new", n)
		}
		check(alerts.Firing, alerts.Critical)
		expect("check Check cpu firing critical 0. ")
		check(alerts.Resolved, alerts.Info)
		expect("check Check cpu resolved critical 0. ")
		check(alerts.Firing, alerts.Warning)
		expect("check Check cpu firing warning 0. check Check cpu resolved critical 0. ")
	})
}
