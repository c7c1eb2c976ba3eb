package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"
)

const (
	pageSize    = 50
	pagesWalked = 32
	readers     = 16

	pageQuery = `query Page($after: String) { runs(first: 50, after: $after) {
  nodes { runId status source environment definitionVersion createdAt startedAt finishedAt durationMs
    stages { nodeId nodeType attempt status startedAt finishedAt durationMs } }
  pageInfo { hasNextPage } } }`
)

// reading is how fast pages are answered.
type reading struct {
	Rate       float64   `json:"per_second"`
	Latency    quantiles `json:"latency"`
	CPUSeconds float64   `json:"cpu_seconds_per_1000"`

	took []time.Duration
	cpu  time.Duration
	span time.Duration
}

// pages measures the list beside the bare handler, each a third of its time in turn, so that what else the
// machine does meets both.
func (b *bench) pages(ctx context.Context, s *stocked, r *graphReport) (err error) {
	if err := s.Stop(); err != nil {
		return err
	}
	plan := barePlan{DatabaseURL: s.databaseURL}
	var cursors []string
	if plan.Pages, cursors, err = barePages(ctx, s.databaseURL, pagesWalked); err != nil {
		return err
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "bare.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	if _, err := s.Start(ctx); err != nil {
		return err
	}
	url, pid, stop, err := startSelf(ctx, bareVariable+"="+file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	viaGraphQL := func(n int) *http.Request {
		variables := map[string]any{}
		if cursors[n] != "" {
			variables["after"] = "r." + cursors[n]
		}
		body, _ := json.Marshal(map[string]any{"query": pageQuery, "variables": variables})
		request, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/graphql", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+s.Client.Token)
		return request
	}
	viaBare := func(n int) *http.Request {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(url, n), nil)
		return request
	}
	for n := range pagesWalked {
		if err := samePage(viaGraphQL(n), viaBare(n)); err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
	}
	if b.profile != "" {
		stop := b.startProfile(ctx, s.Server, ".pages")
		defer func() { err = errors.Join(err, stop()) }()
	}
	for range 3 {
		if err := r.GraphQL.read(b.load/3, s.PID(), viaGraphQL); err != nil {
			return err
		}
		if err := r.Bare.read(b.load/3, pid, viaBare); err != nil {
			return err
		}
	}
	return nil
}

// samePage compares what both answer: to be faster by answering something else is no art.
func samePage(a, b *http.Request) error {
	var got [2]bareAnswer
	for i, request := range []*http.Request{a, b} {
		text, err := ask(request)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &got[i]); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(got[0], got[1]) || len(got[0].Data.Runs.Nodes) != pageSize || len(got[0].Data.Runs.Nodes[0].Stages) != stages {
		return fmt.Errorf("GraphQL and the bare handler differ: %+v and %+v", got[0].Data.Runs.Nodes[0], got[1].Data.Runs.Nodes[0])
	}
	return nil
}

func ask(request *http.Request) ([]byte, error) {
	answer, err := sender.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err == nil && (answer.StatusCode != http.StatusOK || bytes.HasPrefix(text, []byte(`{"errors"`))) {
		err = fmt.Errorf("%d: %.500s", answer.StatusCode, text)
	}
	return text, err
}

// read walks the pages with all readers at once.
func (m *reading) read(d time.Duration, pid int, page func(int) *http.Request) error {
	before, err := usageOf(pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	took, failed := make([][]time.Duration, readers), make([]error, readers)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			for n := i; time.Since(begin) < d; n++ {
				asked := time.Now()
				if _, failed[i] = ask(page(n % pagesWalked)); failed[i] != nil {
					return
				}
				took[i] = append(took[i], time.Since(asked))
			}
		})
	}
	wg.Wait()
	m.span += time.Since(begin)
	after, err := usageOf(pid)
	if err = errors.Join(err, errors.Join(failed...)); err != nil {
		return err
	}
	m.took, m.cpu = slices.Concat(m.took, slices.Concat(took...)), m.cpu+after.cpu-before.cpu
	m.Rate = float64(len(m.took)) / m.span.Seconds()
	m.Latency = quantilesOf(m.took)
	m.CPUSeconds = m.cpu.Seconds() / float64(len(m.took)) * 1000
	return nil
}
