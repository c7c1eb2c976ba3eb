package graph

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/99designs/gqlgen/complexity"
	"github.com/99designs/gqlgen/graphql"
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
	if n, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(costKey).(int); ok {
		c.Requested = max(n, 1)
	}
	caller, _ := auth.From(ctx)
	key := keyOf(caller)
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
		return c, rateLimited(wait, "This costs %d, and you have %d left. Try again in %d s, or ask for less.", c.Requested, int(purse.TokensAt(now)), wait)
	}
	c.Remaining = int(purse.TokensAt(now))
	return c, nil
}

const costKey = "cost"

// costLimit refuses operations that cost too much.
type costLimit struct {
	limit  int
	schema graphql.ExecutableSchema
	itself schemaLengths
}

func (*costLimit) ExtensionName() string { return "CostLimit" }

func (c *costLimit) Validate(schema graphql.ExecutableSchema) error {
	c.schema, c.itself = schema, measureSchema(schema.Schema())
	return nil
}

func (c *costLimit) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	set := op.Operation.SelectionSet
	n := saturated(complexity.Calculate(ctx, c.schema, op.Operation, op.Variables, complexity.WithFixedScalarValue(0))) + c.itself.cost(set)
	op.Stats.SetExtension(costKey, n)
	if n > c.limit {
		return coded(codeComplexityLimit, "The operation costs %d; the limit is %d. Ask for fewer items or fields at once.", n, c.limit)
	}
	return nil
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
	c.Query.PipelineDefinitions = func(child int, first *int32, _ *string, last *int32, _ *string, _ *PipelineDefinitionFilter, _ *Order) int {
		return page(child, first, last)
	}
	c.Query.Runs = func(child int, first *int32, _ *string, last *int32, _ *string, _ *PipelineRunFilter, _ *Order) int {
		return page(child, first, last)
	}
	c.Query.Incidents = func(child int, first *int32, _ *string, last *int32, _ *string, _ *IncidentFilter, _ *Order) int {
		return page(child, first, last)
	}
	c.Query.Alerts = func(child int, first *int32, _ *string, last *int32, _ *string, _ *AlertFilter, _ *Order) int {
		return page(child, first, last)
	}
	c.Query.Channels = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return page(child, first, last)
	}
	c.Query.Schedules = func(child int, first *int32, _ *string, last *int32, _ *string, _ *string) int {
		return page(child, first, last)
	}
	c.Query.Users = func(child int, first *int32, _ *string, last *int32, _ *string) int { return page(child, first, last) }
	c.Query.Tokens = func(child int, first *int32, _ *string, last *int32, _ *string) int { return page(child, first, last) }
	c.Query.Sources = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return page(child, first, last)
	}
	// What takes time of the processor by itself, not by what is selected.
	document := func(raw json.RawMessage) int { return 200 + len(raw)/64 } // is checked
	c.Mutation.ValidatePipelineDefinition = func(child int, in ValidatePipelineDefinitionInput) int {
		return document(in.Config.Value()) + child
	}
	c.Mutation.CreatePipelineDefinition = func(child int, in CreatePipelineDefinitionInput) int { return document(in.Config) + child }
	c.Mutation.UpdatePipelineDefinition = func(child int, in UpdatePipelineDefinitionInput) int {
		return document(in.Config.Value()) + child
	}
	c.Mutation.RollBackPipelineDefinition = func(child int, _ RollBackPipelineDefinitionInput) int { return 200 + child }
	c.Mutation.DryRunPipelineDefinition = func(child int, in DryRunPipelineDefinitionInput) int {
		return 300 + document(in.Config.Value()) + child
	}
	c.Mutation.CreateUser = func(child int, _ CreateUserInput) int { return 400 + child } // a hash made to be slow
	c.Mutation.ResetUserPassword = func(child int, _ ResetUserPasswordInput) int { return 400 + child }
	c.Mutation.ChangePassword = func(child int, _ ChangePasswordInput) int { return 800 + child } // two of them
	c.Query.PipelineDefinitionSchema = func(int) int { return 200 }
	c.Query.PipelineDefinitionDiff = func(child int, _ string, _, _ *int32) int { return 100 + child }
	c.Query.Providers = func(child int) int { return 200 + 5*max(child, 1) } // reads every definition
	c.Mutation.TestProvider = func(child int, _ TestProviderInput) int { return 100 + child }
	c.Query.NodeTypes = func(child int, _ *NodeTypeCategory) int { return 50 + child }
	c.Query.ScheduleTimes = func(_ int, _, _ string, count int32) int { return 10 + 5*int(min(max(count, 1), 1000)) }
	c.Schedule.NextTimes = func(_ int, count int32) int { return 2 * int(min(max(count, 1), 1000)) }
	c.Query.TryMatchRule = func(child int, _ string, first int32) int { return 100 + page(child, &first, nil) }
	c.Query.ServerStatus = func(child int) int { return 10 + child }
	c.Query.Nodes = func(child int, ids []string) int { return 1 + len(ids)*max(child, 1) }
	c.PipelineDefinition.Versions = nested
	c.PipelineDefinition.Runs = nested
	c.Incident.Alerts = nested
	c.Incident.Runs = nested
	c.Incident.Timeline = func(child int) int { return 20 + 20*max(child, 1) }
	c.Incident.Notifications = nested
	c.Query.Notifications = func(child int, first *int32, _ *string, last *int32, _ *string, _ *NotificationFilter, _ *Order) int {
		return page(child, first, last)
	}
	c.PipelineRun.Notifications = func(child int) int { return 1 + 3*max(child, 1) }
	c.Notification.Attempts = func(child int) int { return 1 + 3*max(child, 1) }
	c.Query.Deliveries = func(child int, first *int32, _ *string, last *int32, _ *string, _ *DeliveryFilter, _ *Order) int {
		return page(child, first, last)
	}
	c.Query.Decisions = func(child int, first *int32, _ *string, last *int32, _ *string, _ *DecisionFilter, _ *Order) int {
		return page(child, first, last)
	}
	c.Query.Why = func(child int, _ string) int { return 10 + 50*max(child, 1)/5 }
	c.Incident.Decisions = nested
	c.Delivery.Decisions = func(child int) int { return 1 + 3*max(child, 1) }
	c.Delivery.Body = func(int) int { return 50 } // up to 1 MiB
	c.Delivery.Alerts = func(int) int { return 50 }
	c.PipelineRun.Payload = func(int) int { return 50 }
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
