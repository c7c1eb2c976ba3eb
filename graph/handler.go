package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"penstock/auth"
	"penstock/db"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/fault"
)

// Options of [NewHandler]. Store, Engine, the registries and Authenticate are required.
type Options struct {
	Store   *db.Store
	Engine  *engine.Engine
	Auth    *auth.Service // tokens and users
	Sources *alerts.Registry
	Notify  *notify.Registry
	AI      *ai.Registry

	// Authenticate says who sent a request. The caller of an HTTP request is in its context already
	// (auth.With); this is asked again for a WebSocket that brings its credential in connection_init,
	// for every operation on a WebSocket, and every few seconds while a stream is open, so that a
	// revoked credential ends it. It must not remember for longer than that.
	Authenticate func(*http.Request) (auth.Principal, error)

	Limits    Limits
	Documents Documents    // nil: callers may write any
	PublicURL string       // its pages may open sockets, beside those of the same host
	Log       *slog.Logger // nil: discard
}

// handler is /graphql: every transport.
type handler struct {
	exec         *executor.Executor
	limits       Limits
	documents    Documents
	authenticate func(*http.Request) (auth.Principal, error)
	authorize    graphql.FieldMiddleware
	origins      []string
	log          *slog.Logger

	purses *purses

	streams, sockets *slots
}

// NewHandler serves GraphQL over HTTP (GET, POST), Server-Sent Events (GET, POST with Accept:
// text/event-stream) and WebSocket (graphql-transport-ws). A request whose context ends early, for
// example because the server stops, is cut; sockets close with 1001.
func NewHandler(o Options) http.Handler {
	resolver := &Resolver{
		store: o.Store, engine: o.Engine, accounts: o.Auth, sources: o.Sources, notify: o.Notify, ai: o.AI,
		limits: o.Limits.withDefaults(),
	}
	return newHandler(NewExecutableSchema(Config{Resolvers: resolver, Complexity: costs()}), o, resolver.withLoaders)
}

// newHandler is NewHandler for any schema. fresh is called for every root field of queries and
// mutations and for every event of a subscription; what it adds to the context is seen below them.
func newHandler(schema graphql.ExecutableSchema, o Options, fresh func(context.Context) context.Context) *handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &handler{
		exec: executor.New(schema), limits: o.Limits.withDefaults(), documents: o.Documents, authenticate: o.Authenticate,
		authorize: authorize(auth.Matrix()), log: o.Log,
	}
	h.purses = newPurses(h.limits)
	h.streams, h.sockets = newSlots(h.limits.Streams), newSlots(h.limits.Sockets)
	if u, err := url.Parse(o.PublicURL); err == nil && u.Host != "" {
		h.origins = append(h.origins, u.Host)
	}
	documents := documentCache{lru.New[*ast.QueryDocument](1000)}
	h.exec.SetQueryCache(documents)
	h.exec.SetParserTokenLimit(h.limits.Tokens)
	h.exec.SetDefaultRulesFn(fewErrors(h.limits.Errors))
	h.exec.SetErrorPresenter(presenter(o.Log))
	h.exec.SetRecoverFunc(recoverer(o.Log))
	h.exec.Use(extension.Introspection{}) // everybody who gets here has a credential
	h.exec.Use(extension.AutomaticPersistedQuery{Cache: lru.New[string](500)})
	h.exec.Use(documentLimit{h.limits, documents})
	h.exec.Use(shapeLimit{h.limits})
	h.exec.Use(&costLimit{limit: h.limits.Complexity})
	h.exec.Use(&keepJSON{})
	h.exec.AroundRootFields(func(ctx context.Context, next graphql.RootResolver) graphql.Marshaler { return next(fresh(ctx)) })
	h.exec.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		resp := next(fresh(ctx))
		if resp != nil { // fields are resolved side by side: show the first errors of the document, not of the race
			slices.SortStableFunc(resp.Errors, byLocation)
			resp.Errors = resp.Errors[:min(len(resp.Errors), h.limits.Errors)]
		}
		return resp
	})
	return h
}

func byLocation(a, b *gqlerror.Error) int {
	at := func(e *gqlerror.Error) gqlerror.Location {
		if len(e.Locations) == 0 {
			return gqlerror.Location{}
		}
		return e.Locations[0]
	}
	return cmp.Or(cmp.Compare(at(a).Line, at(b).Line), cmp.Compare(at(a).Column, at(b).Column))
}

// documentCache keeps parsed documents, but not those that are long: the count alone would not bound
// the memory they take.
type documentCache struct {
	graphql.Cache[*ast.QueryDocument]
}

// Add is called once for every document, after its validation and before its use.
func (c documentCache) Add(ctx context.Context, query string, doc *ast.QueryDocument) {
	keepLiterals(doc)
	if len(query) <= 16<<10 {
		c.Cache.Add(ctx, query, doc)
	}
}

// authorize asks the matrix before every root field, and before fields that have a row of their own. See also [plain].
func authorize(matrix map[string]auth.Scope) graphql.FieldMiddleware {
	guarded := map[string]map[string]bool{}
	for key := range matrix {
		if object, name, ok := strings.Cut(key, "."); ok && !strings.Contains(key, "/") {
			if guarded[object] == nil {
				guarded[object] = map[string]bool{}
			}
			guarded[object][name] = true
		}
	}
	root := func(object string) bool { return object == "Query" || object == "Mutation" || object == "Subscription" }
	return func(ctx context.Context, next graphql.Resolver) (any, error) {
		at := graphql.GetFieldContext(ctx)
		if names := guarded[at.Object]; names != nil && (names[at.Field.Name] || root(at.Object) && !strings.HasPrefix(at.Field.Name, "__")) {
			p, _ := auth.From(ctx)
			if err := auth.Allowed(p, at.Object+"."+at.Field.Name); err != nil {
				return nil, err
			}
		}
		res, err := next(ctx)
		if err != nil {
			return nil, err
		}
		return plain(ctx, res), nil
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(graphql.StartOperationTrace(r.Context()))
	if isUpgrade(r) {
		h.serveSocket(w, r)
		return
	}
	h.serveHTTP(w, r)
}

func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// operation is a request that passed parsing, validation and the limits.
type operation struct {
	*graphql.OperationContext
	ctx  context.Context
	cost *cost // shown with the first answer; nil if it was not asked for
	past *shortcut
}

func (o operation) isSubscription() bool { return o.Operation.Operation == ast.Subscription }
func (o operation) isMutation() bool     { return o.Operation.Operation == ast.Mutation }

// prepare parses and validates. A refused request comes back as the answer to send.
func (h *handler) prepare(ctx context.Context, r *request) (operation, *graphql.Response) {
	ctx = context.WithValue(ctx, variablesKey{}, r.variables)
	if unknown := h.documents.admit(&r.RawParams); unknown != nil {
		return operation{}, &graphql.Response{Errors: gqlerror.List{unknown}}
	}
	op, errs := h.exec.CreateOperationContext(ctx, &r.RawParams)
	ctx = graphql.WithOperationContext(ctx, op)
	switch {
	case errs == nil:
		op.ResolverMiddleware = h.authorize // not AroundFields, whose layers every field would go through
		cost, refused := h.purses.pay(ctx)
		if refused != nil {
			return operation{}, h.exec.DispatchError(ctx, gqlerror.List{refused})
		}
		o := operation{OperationContext: op, ctx: ctx, past: &shortcut{}}
		if asked, _ := r.Extensions["cost"].(bool); asked {
			o.cost = &cost
		}
		return o, nil
	case op.Doc != nil && op.Operation == nil && r.OperationName == "":
		errs = gqlerror.List{coded(errcode.ValidationFailed, "The document has more than one operation: name one in `operationName`.")}
	case op.Doc != nil && op.Operation == nil:
		errs = gqlerror.List{coded(errcode.ValidationFailed, "The document has no operation of the name in `operationName`.")}
	}
	return operation{}, h.exec.DispatchError(ctx, errs)
}

// run starts the operation and returns a function that gives one answer after the other, nil at the
// end. Queries and mutations have one. Calling stop ends everything that belongs to it.
func (h *handler) run(op operation) (next func() *graphql.Response, stop context.CancelFunc) {
	var ctx context.Context
	if op.isSubscription() {
		ctx, stop = context.WithCancel(op.ctx)
	} else {
		ctx, stop = context.WithTimeout(op.ctx, h.limits.Time)
	}
	var responses graphql.ResponseHandler
	ended := false
	return func() (resp *graphql.Response) {
		if ended {
			return nil
		}
		ended = !op.isSubscription()
		defer func() {
			if cause := recover(); cause != nil {
				err := h.exec.PresentRecoveredError(ctx, cause)
				var shown *gqlerror.Error
				if !errors.As(err, &shown) {
					shown = coded(codeInternal, "internal error")
				}
				resp, ended = &graphql.Response{Errors: gqlerror.List{shown}}, true
			}
		}()
		if responses == nil {
			responses, ctx = h.exec.DispatchOperation(context.WithValue(ctx, shortcutKey{}, op.past), op.OperationContext)
			if op.past.next != nil {
				responses = op.past.next
			}
		}
		resp = responses(ctx)
		if resp != nil && op.cost != nil {
			if resp.Extensions == nil {
				resp.Extensions = map[string]any{}
			}
			resp.Extensions["cost"] = op.cost
			op.cost = nil
		}
		ended = ended || resp == nil || resp.Data == nil
		return resp
	}, stop
}

// answer is a response as the specification wants it: no `data` where nothing was executed.
type answer struct {
	Errors     gqlerror.List   `json:"errors,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Extensions map[string]any  `json:"extensions,omitempty"`
}

// writeTo writes the answer. Data is JSON on one line already; encoding/json would read it all again.
func (a answer) writeTo(w io.Writer) {
	if a.Data == nil || len(a.Errors)+len(a.Extensions) > 0 {
		_, _ = w.Write(encode(a))
		return
	}
	_, _ = io.WriteString(w, `{"data":`)
	_, _ = w.Write(a.Data)
	_, _ = io.WriteString(w, "}")
}

func answerOf(resp *graphql.Response) answer {
	return answer{resp.Errors, resp.Data, resp.Extensions}
}

// refusal makes the answer for an error that the transport found.
func (h *handler) refusal(ctx context.Context, code string, err error) answer {
	f := fault.Of(err)
	if f.Code == fault.Internal || code == "" {
		message, extensions := present(ctx, err, h.log)
		return answer{Errors: gqlerror.List{{Message: message, Extensions: extensions}}}
	}
	return answer{Errors: gqlerror.List{coded(code, "%s", f.Message)}}
}
