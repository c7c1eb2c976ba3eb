package graph

import (
	"context"
	"math"
	"time"

	"github.com/99designs/gqlgen/graphql/handler/extension"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"golang.org/x/time/rate"

	"penstock/auth"
)

// purses hold what each caller can still spend: a token bucket of cost. The callers that were seen
// longest ago are forgotten, and so have all of it again.
type purses struct {
	limits Limits
	known  *lru.Cache[string, *rate.Limiter]
}

func newPurses(l Limits) *purses {
	known, err := lru.New[string, *rate.Limiter](10_000)
	if err != nil {
		panic(err) // the size is positive
	}
	return &purses{l, known}
}

// cost is what an operation costs and what its caller has left, as in `extensions.cost`.
type cost struct {
	Requested int `json:"requested"`
	Limit     int `json:"limit"`
	Remaining int `json:"remaining"`
	Budget    int `json:"budget"`
	Restore   int `json:"restorePerSecond"`
}

// pay takes what the operation of ctx costs from its caller's budget. The error says after how many
// seconds there is enough.
func (p *purses) pay(ctx context.Context) (cost, *gqlerror.Error) {
	c := cost{Requested: 1, Limit: p.limits.Complexity, Budget: p.limits.Budget, Restore: p.limits.Restore}
	if stats := extension.GetComplexityStats(ctx); stats != nil {
		c.Requested = max(stats.Complexity, 1)
	}
	caller, _ := auth.From(ctx)
	key := string(caller.Kind) + ":" + caller.ID
	purse, ok := p.known.Get(key)
	if !ok {
		purse = rate.NewLimiter(rate.Limit(p.limits.Restore), p.limits.Budget)
		if other, found, _ := p.known.PeekOrAdd(key, purse); found {
			purse = other
		}
	}
	now := time.Now()
	if !purse.AllowN(now, c.Requested) {
		missing := float64(c.Requested) - purse.TokensAt(now)
		wait := max(int(math.Ceil(missing/float64(p.limits.Restore))), 1)
		err := coded(codeRateLimited, "This costs %d, and you have %d left. Try again in %d s, or ask for less.", c.Requested, int(purse.TokensAt(now)), wait)
		err.Extensions["retryAfter"] = wait
		return c, err
	}
	c.Remaining = int(purse.TokensAt(now))
	return c, nil
}

// costs says what fields cost beyond the ordinary (a scalar nothing, an object 1): connections the
// page size times what is selected of an item, and what needs a statement of its own.
func costs() ComplexityRoot {
	page := func(child int, first, last *int32) int {
		n := int32(defaultPage)
		if first != nil {
			n = *first
		} else if last != nil {
			n = *last
		}
		// Out of range is refused by the resolver; here it must only not overflow.
		return 1 + int(min(max(n, 1), 1000))*max(child, 1)
	}
	nested := func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return 10 + page(child, first, last) // a statement of its own for every parent
	}
	var c ComplexityRoot
	c.Query.PipelineDefinitions = func(child int, first *int32, _ *string, last *int32, _ *string, _ *PipelineDefinitionFilter) int {
		return page(child, first, last)
	}
	c.Query.Runs = func(child int, first *int32, _ *string, last *int32, _ *string, _ *PipelineRunFilter) int {
		return page(child, first, last)
	}
	c.Query.Incidents = func(child int, first *int32, _ *string, last *int32, _ *string, _ *IncidentFilter) int {
		return page(child, first, last)
	}
	c.Query.Alerts = func(child int, first *int32, _ *string, last *int32, _ *string, _ *AlertFilter) int {
		return page(child, first, last)
	}
	c.Query.Channels = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return page(child, first, last)
	}
	c.Query.Sources = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return page(child, first, last)
	}
	// What takes time of the processor by itself, not by what is selected.
	c.Mutation.ValidatePipelineDefinition = func(child int, _ ValidatePipelineDefinitionInput) int { return 200 + child }
	c.Mutation.DryRunPipelineDefinition = func(child int, _ DryRunPipelineDefinitionInput) int { return 500 + child }
	c.Query.TryMatchRule = func(child int, _ string, first int32) int { return 100 + page(child, &first, nil) }
	c.Query.ServerStatus = func(child int) int { return 10 + child }
	c.Query.Nodes = func(child int, ids []string) int { return 1 + len(ids)*max(child, 1) }
	c.PipelineDefinition.Versions = nested
	c.PipelineDefinition.Runs = nested
	c.Incident.Alerts = nested
	c.Incident.Runs = nested
	c.Incident.Timeline = func(child int) int { return 20 + 20*max(child, 1) }
	c.Incident.Notifications = nested
	c.Query.Notifications = func(child int, first *int32, _ *string, last *int32, _ *string, _ *NotificationFilter) int {
		return page(child, first, last)
	}
	c.PipelineRun.Notifications = func(child int) int { return 1 + 3*max(child, 1) }
	c.Notification.Attempts = func(child int) int { return 1 + 3*max(child, 1) }
	c.Query.Deliveries = func(child int, first *int32, _ *string, last *int32, _ *string, _ *DeliveryFilter) int {
		return page(child, first, last)
	}
	c.Query.Decisions = func(child int, first *int32, _ *string, last *int32, _ *string, _ *DecisionFilter) int {
		return page(child, first, last)
	}
	c.Query.Why = func(child int, _ string) int { return 10 + 50*max(child, 1)/5 }
	c.Incident.Decisions = nested
	c.Delivery.Decisions = func(child int) int { return 1 + 3*max(child, 1) }
	c.Delivery.Body = func(int) int { return 50 } // up to 1 MiB
	c.Delivery.Alerts = func(int) int { return 50 }
	c.PipelineRun.ChildRuns = nested
	c.PipelineRun.Stages = func(child int) int { return 1 + 3*max(child, 1) }
	c.PipelineRun.Result = func(int) int { return 5 }
	count := func(int) int { return 1 } // of the connection, so it is multiplied too
	c.PipelineDefinitionConnection.TotalCount = count
	c.PipelineRunConnection.TotalCount = count
	c.IncidentConnection.TotalCount = count
	c.AlertConnection.TotalCount = count
	c.NotificationConnection.TotalCount = count
	c.DeliveryConnection.TotalCount = count
	c.DecisionConnection.TotalCount = count
	return c
}
