package graph

import (
	"context"
	"strings"

	"penstock/db"
	"penstock/fault"
)

const defaultPage = 25

// Connection is a page of a list as Relay wants it.
type Connection[T any] struct {
	Edges    []*Edge[T]
	Nodes    []*T
	PageInfo *PageInfo

	ChangesCursor string // of lists that can be followed

	count func(context.Context) (int, error)
}

// TotalCount counts; it is called only if the field is selected.
func (c *Connection[T]) TotalCount(ctx context.Context) (int, error) { return c.count(ctx) }

// Edge is an item with its cursor.
type Edge[T any] struct {
	Cursor string
	Node   *T
}

// PageInfo says where a page begins and ends.
type PageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       *string
}

// The connections and edges of the schema, under names that gqlgen can look up.
type (
	DefinitionConnection   = Connection[db.PipelineDefinition]
	DefinitionEdge         = Edge[db.PipelineDefinition]
	VersionConnection      = Connection[db.PipelineDefinitionVersion]
	VersionEdge            = Edge[db.PipelineDefinitionVersion]
	RunConnection          = Connection[db.Run]
	RunEdge                = Edge[db.Run]
	IncidentConnection     = Connection[db.Incident]
	IncidentEdge           = Edge[db.Incident]
	AlertConnection        = Connection[db.Alert]
	AlertEdge              = Edge[db.Alert]
	UserConnection         = Connection[db.User]
	UserEdge               = Edge[db.User]
	TokenConnection        = Connection[db.APIToken]
	TokenEdge              = Edge[db.APIToken]
	NotificationConnection = Connection[db.NotificationMessage]
	NotificationEdge       = Edge[db.NotificationMessage]
	ChannelConnection      = Connection[db.Channel]
	ChannelEdge            = Edge[db.Channel]
	SourceConnection       = Connection[db.Source]
	SourceEdge             = Edge[db.Source]
	DeliveryConnection     = Connection[db.Delivery]
	DeliveryEdge           = Edge[db.Delivery]
	DecisionConnection     = Connection[db.Decision]
	DecisionEdge           = Edge[db.Decision]
	ScheduleConnection     = Connection[db.Schedule]
	ScheduleEdge           = Edge[db.Schedule]
)

// list names an ordering: a cursor of one is refused by the others.
type list string

const (
	definitionList   list = "d"
	versionList      list = "v"
	runList          list = "r"
	incidentList     list = "i"
	alertList        list = "a"
	channelList      list = "c"
	notificationList list = "n"
	userList         list = "u"
	tokenList        list = "t"
	sourceList       list = "src"
	deliveryList     list = "dl"
	decisionList     list = "dec"
	scheduleList     list = "sch"
)

// It does not compile if two of them are the same.
var _ = map[list]bool{
	definitionList: true, versionList: true, runList: true, incidentList: true, alertList: true, channelList: true, notificationList: true,
	userList: true, tokenList: true, sourceList: true, deliveryList: true, decisionList: true, scheduleList: true,
}

// page reads the arguments of a connection; how many they ask for has been checked, see [shapeWalk.amounts].
func (r *Resolver) page(l list, first *int32, after *string, last *int32, before *string, orderBy *Order) (db.Page, error) {
	p := db.Page{OldestFirst: orderBy != nil && orderBy.Direction == "ASC"}
	l = l.as(p)
	if first != nil && last != nil {
		return p, fault.New(fault.Invalid, "Give `first` or `last`, not both.")
	}
	p.First = min(defaultPage, r.limits.Page)
	switch {
	case first != nil:
		p.First = int(*first)
	case last != nil:
		p.First, p.Last = 0, int(*last)
	}
	var err error
	if p.After, err = l.open("after", after); err == nil {
		p.Before, err = l.open("before", before)
	}
	return p, err
}

// Order is the order of a list. Every list has one field to order by so far, so that nobody asks which it is.
type Order struct{ Field, Direction string }

// as is the list in the order of the page.
func (l list) as(p db.Page) list {
	if p.OldestFirst {
		return l + "asc"
	}
	return l
}

func (l list) open(name string, cursor *string) (string, error) {
	if cursor == nil {
		return "", nil
	}
	of, inner, ok := strings.Cut(*cursor, ".")
	if !ok || list(of) != l || inner == "" {
		return "", fault.New(fault.Invalid, "`%s` is not a cursor of this list. Start again without it.", name)
	}
	return inner, nil
}

// search bounds what a page looks through, if one of these filters is used: no index serves them.
func (r *Resolver) search(p *db.Page, filters ...string) {
	if strings.Join(filters, "") != "" {
		p.Within = r.limits.Search
	}
}

// connect makes the page that the resolvers return.
func connect[T any](l list, p db.Page, c db.Connection[T], count func(context.Context) (int, error)) *Connection[T] {
	l = l.as(p)
	out := &Connection[T]{
		Edges: make([]*Edge[T], len(c.Items)), Nodes: make([]*T, len(c.Items)), count: count,
		PageInfo: &PageInfo{HasNextPage: c.HasNext, HasPreviousPage: c.HasPrevious},
	}
	for i := range c.Items {
		out.Nodes[i] = &c.Items[i]
		out.Edges[i] = &Edge[T]{Cursor: string(l) + "." + c.Cursors[i], Node: &c.Items[i]}
	}
	if n := len(out.Edges); n > 0 {
		out.PageInfo.StartCursor, out.PageInfo.EndCursor = &out.Edges[0].Cursor, &out.Edges[n-1].Cursor
	}
	switch further := string(l) + "." + c.Further; { // of a search, perhaps behind the last item
	case c.Further == "":
	case p.Last > 0:
		out.PageInfo.HasPreviousPage, out.PageInfo.StartCursor = true, &further
	default:
		out.PageInfo.HasNextPage, out.PageInfo.EndCursor = true, &further
	}
	return out
}
