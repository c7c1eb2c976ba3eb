//go:build e2e

package e2e_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// slowReceiver takes webhooks, answers each after a while, and remembers which process sent it. Its
// lives number the processes of the server: one ends with every kill.
type slowReceiver struct {
	*httptest.Server

	mu       sync.Mutex
	life     int
	count    int
	arrivals map[stage][]arrival
	open     map[net.Conn]bool
	problems []string
}

type stage struct{ run, node string }

type arrival struct {
	number   int // over all stages, from 1
	life     int
	key      string
	answered bool // the answer was written; the sender may have died before it read it
}

const marker = "/marker"

func newSlowReceiver(t *testing.T) *slowReceiver {
	t.Helper()
	r := &slowReceiver{arrivals: map[stage][]arrival{}, open: map[net.Conn]bool{}}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.take))
	r.Config.ConnState = func(c net.Conn, state http.ConnState) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.open[c] = true; state == http.StateClosed {
			delete(r.open, c)
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *slowReceiver) take(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path == marker {
		w.Header().Set("Connection", "close")
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the sender died before it had said everything: not a delivery
	}
	var message struct {
		Tags struct {
			RunID string `json:"run_id"`
			Node  string `json:"pipeline_node"`
		}
	}
	err = json.Unmarshal(body, &message)
	at, key := stage{message.Tags.RunID, message.Tags.Node}, request.Header.Get("Idempotency-Key")
	r.mu.Lock()
	if err != nil || at.run == "" || at.node == "" || key == "" {
		r.problems = append(r.problems, "not understood: "+string(body))
	}
	r.count++
	index := len(r.arrivals[at])
	r.arrivals[at] = append(r.arrivals[at], arrival{number: r.count, life: r.life, key: key})
	r.mu.Unlock()
	select {
	case <-time.After(20*time.Millisecond + rand.N(100*time.Millisecond)):
	case <-request.Context().Done():
		return
	}
	w.WriteHeader(http.StatusOK)
	r.mu.Lock()
	r.arrivals[at][index].answered = true
	r.mu.Unlock()
}

// nextLife is called when the sender is dead. Everything that it had sent is counted for the old life.
func (r *slowReceiver) nextLife(t *testing.T) {
	t.Helper()
	// Connections are accepted in order: once this one is, so are all of the dead process.
	answer, err := http.Get(r.URL + marker)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	eventually(t, "the connections of the dead process end", 5*time.Second, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.open) == 0
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
}

// got is everything that arrived, by stage.
func (r *slowReceiver) got(t *testing.T) map[stage][]arrival {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.problems {
		t.Error(p)
	}
	return r.arrivals
}
