// Command genqlient checks that the code which genqlient makes from the server's schema compiles and works: it
// executes a pipeline and follows the run with a subscription.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Khan/genqlient/graphql"
	"github.com/gorilla/websocket"
)

//go:generate go tool genqlient

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := check(ctx, os.Getenv("PENSTOCK_URL")+"/graphql", os.Getenv("PENSTOCK_TOKEN")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ok genqlient: a query, a mutation and a subscription with generated types")
}

type authorized struct{ token string }

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+a.token)
	return http.DefaultTransport.RoundTrip(r)
}

type dialer struct{ *websocket.Dialer }

func (d dialer) DialContext(ctx context.Context, url string, header http.Header) (graphql.WSConn, error) {
	conn, _, err := d.Dialer.DialContext(ctx, url, header)
	return graphql.WSConn(conn), err
}

func check(ctx context.Context, url, token string) error {
	client := graphql.NewClient(url, &http.Client{Transport: authorized{token}})
	made, err := execute(ctx, client, ExecutePipelineDefinitionInput{Name: "conformance"})
	if err != nil {
		return err
	}
	run := made.ExecutePipelineDefinition.Run
	if run == nil {
		return fmt.Errorf("not executed: %v", made.ExecutePipelineDefinition.UserErrors)
	}

	socket := graphql.NewClientUsingWebSocket("ws"+strings.TrimPrefix(url, "http"), dialer{websocket.DefaultDialer},
		graphql.WithConnectionParams(map[string]any{"Authorization": "Bearer " + token}))
	failed, err := socket.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }() // its complaint that it cannot unsubscribe what has completed is no fault of ours
	events, _, err := follow(ctx, socket, run.RunId)
	if err != nil {
		return err
	}
	for status := RunStatus(""); status == ""; {
		select {
		case ev := <-events:
			if ev.Errors != nil || ev.Data == nil {
				return fmt.Errorf("the subscription: %v", ev.Errors)
			}
			if end, ok := ev.Data.RunProgress.(*followRunProgressRunFinished); ok && end.Run != nil {
				status = end.Run.Status
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	list, err := runs(ctx, client, run.RunId)
	if err != nil {
		return err
	}
	if nodes := list.Runs.Nodes; len(nodes) != 1 || nodes[0].Status != RunStatusCompleted || len(nodes[0].Stages) != 2 {
		return fmt.Errorf("the run is %+v", nodes)
	}
	return nil
}
