package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"penstock/e2e/harness"
)

const (
	subscribers      = 1000
	socketsPerCaller = 20 // the default limit

	liveQuery = `subscription Live($run: ID!) { runProgress(runId: $run, after: "") { __typename sequence at
  ... on StageStatusChanged { nodeId attempt status message } ... on RunStatusChanged { status } ... on RunFinished { status } } }`
)

// following is what the subscribers of one run saw.
type following struct {
	Events   int       `json:"events"`                // that came while they followed
	Rate     float64   `json:"deliveries_per_second"` // events times subscribers
	Latency  quantiles `json:"commit_to_arrival"`     // from the event's own time, which is before its commit
	Missed   int       `json:"missed"`
	PeakMB   float64   `json:"rss_peak_mb"`
	CPUMicro float64   `json:"cpu_microseconds_per_delivery"`
	OwnMicro float64   `json:"cpu_microseconds_of_subscribers_per_delivery"` // of this process, on the same machine
}

// live has a thousand sockets follow one run: first a run that takes its time, which shows how late events come, then
// one that is as fast as it can be, which shows how many can be handed on.
func (b *bench) live(ctx context.Context, s *harness.Server, r *graphReport) error {
	var tokens []string
	for i := range subscribers / socketsPerCaller {
		var made struct{ Token string }
		in := map[string]any{"name": fmt.Sprintf("subscriber-%d", i), "scopes": []string{"read"}}
		if err := s.Client.Call(ctx, http.MethodPost, "/orchestration/tokens/", in, &made); err != nil {
			return err
		}
		tokens = append(tokens, made.Token)
	}
	for _, m := range []struct {
		pause time.Duration
		steps int
		into  *following
	}{{200 * time.Millisecond, int(b.load / (200 * time.Millisecond)), &r.Paced}, {0, 50, &r.Burst}} {
		var err error
		if *m.into, err = b.follow(ctx, s, tokens, m.steps, m.pause); err != nil {
			return err
		}
	}
	return nil
}

// follow starts a run of so many messages, each of which takes as long as pause. The first waits until everybody
// follows; follow returns when everybody has seen the end.
func (b *bench) follow(ctx context.Context, s *harness.Server, tokens []string, steps int, pause time.Duration) (f following, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	everybody := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-everybody:
		case <-ctx.Done():
		}
		wait(ctx, pause)
	}))
	defer receiver.Close()
	var nodes []string
	for i := range steps {
		nodes = append(nodes, fmt.Sprintf(`{"id": "step_%d", "type": "notify", "timeout_seconds": 60, "config": {"channel": "live", "title": "Step", "message": "One of many."}}`, i))
	}
	err = s.Client.Channel(ctx, "live", "generic", map[string]any{"endpoint": receiver.URL})
	if err == nil {
		err = s.Client.Definition(ctx, "live", `{"version": "1.0", "nodes": [`+strings.Join(nodes, ",\n")+`]}`)
	}
	if err != nil {
		return f, err
	}
	var started struct {
		Data struct {
			ExecutePipelineDefinition struct{ Run struct{ RunID string } }
		}
	}
	execute := map[string]string{"query": `mutation { executePipelineDefinition(input: {name: "live"}) { run { runId } } }`}
	if err := s.Client.Call(ctx, http.MethodPost, "/graphql", execute, &started); err != nil {
		return f, err
	}
	run := started.Data.ExecutePipelineDefinition.Run.RunID

	all, failed := make([]subscriber, subscribers), make([]error, subscribers)
	var ready, done sync.WaitGroup
	ready.Add(subscribers)
	for i := range all {
		all[i].here = sync.OnceFunc(ready.Done)
		done.Go(func() {
			defer all[i].here()
			if failed[i] = all[i].follow(ctx, s.URL, tokens[i/socketsPerCaller], run); failed[i] != nil {
				cancel()
			}
		})
	}
	ready.Wait()
	before, err := usagesOf(s.PID(), os.Getpid())
	if err != nil {
		return f, err
	}
	if b.profile != "" && pause > 0 {
		stop := b.startProfile(ctx, s, ".live")
		defer func() { err = errors.Join(err, stop()) }()
	}
	runtime.GC() // now rather than while they follow, when it would take the cores from the server
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	opened := time.Now()
	close(everybody)
	done.Wait()
	if err := errors.Join(failed...); err != nil {
		return f, err
	}
	after, err := usagesOf(s.PID(), os.Getpid())
	if err != nil {
		return f, err
	}
	f = summary(all, opened)
	perDelivery := func(i int) float64 {
		return float64((after[i].cpu - before[i].cpu).Microseconds()) / (float64(f.Events) * subscribers)
	}
	f.PeakMB, f.CPUMicro, f.OwnMicro = after[0].peakMB, perDelivery(0), perDelivery(1)
	return f, nil
}

func usagesOf(pids ...int) (all []usage, err error) {
	for _, pid := range pids {
		u, err := usageOf(pid)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

func summary(all []subscriber, opened time.Time) (f following) {
	var late []time.Duration
	last := opened
	for i := range all {
		n := 0
		for _, a := range all[i].arrivals {
			if a.happened.After(opened) {
				n++
				late = append(late, a.came.Sub(a.happened))
				last = later(last, a.came)
			}
		}
		f.Events = max(f.Events, n)
		f.Missed += all[i].missed
	}
	f.Rate = float64(len(late)) / last.Sub(opened).Seconds()
	f.Latency = quantilesOf(late)
	return f
}

func later(a, b time.Time) time.Time { return slices.MaxFunc([]time.Time{a, b}, time.Time.Compare) }

// subscriber is one socket.
type subscriber struct {
	here     func() // is called when the first event has come
	arrivals []arrival
	missed   int
}

type arrival struct{ happened, came time.Time }

func (s *subscriber) follow(ctx context.Context, url, token, run string) error {
	conn, _, err := websocket.Dial(ctx, url+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	payload, err := json.Marshal(map[string]any{"query": liveQuery, "variables": map[string]string{"run": run}})
	if err != nil {
		return err
	}
	for _, text := range []string{`{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":` + string(payload) + `}`} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			return err
		}
	}
	next := 1
	for {
		_, text, err := conn.Read(ctx)
		came := time.Now()
		switch {
		case err != nil:
			return err
		case bytes.Contains(text, []byte(`"type":"connection_ack"`)):
			continue
		case bytes.Contains(text, []byte(`"type":"complete"`)):
			return nil
		case !bytes.Contains(text, []byte(`"type":"next"`)):
			return fmt.Errorf("subscribe: %s", text)
		}
		a, sequence, err := arrivalOf(text, came)
		if err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		s.arrivals = append(s.arrivals, a)
		s.missed += sequence - next
		next = sequence + 1
		s.here()
	}
}

// arrivalOf looks for what it needs only: a thousand subscribers share the machine with the server.
func arrivalOf(text []byte, came time.Time) (a arrival, sequence int, err error) {
	if bytes.Contains(text, []byte("ResyncRequired")) {
		return a, 0, errors.New("the server gave up")
	}
	a.came = came
	_, at, _ := bytes.Cut(text, []byte(`"at":"`))
	at, _, _ = bytes.Cut(at, []byte(`"`))
	if a.happened, err = time.Parse(time.RFC3339Nano, string(at)); err != nil {
		return a, 0, err
	}
	_, number, _ := bytes.Cut(text, []byte(`"sequence":`))
	_, err = fmt.Fscan(io.LimitReader(bytes.NewReader(number), 10), &sequence)
	return a, sequence, err
}
