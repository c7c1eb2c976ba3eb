package graph

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"penstock/fault"
)

// Values of extensions.code; the schema documents them as the enum ErrorCode.
const (
	codeBadRequest      = "BAD_REQUEST"
	codeBadUserInput    = "BAD_USER_INPUT"
	codeUnauthenticated = "UNAUTHENTICATED"
	codeForbidden       = "FORBIDDEN"
	codeNotFound        = "NOT_FOUND"
	codeConflict        = "CONFLICT"
	codeRateLimited     = "RATE_LIMITED"
	codeUnavailable     = "UNAVAILABLE"
	codeTokenLimit      = "TOKEN_LIMIT_EXCEEDED"
	codeComplexityLimit = "COMPLEXITY_LIMIT_EXCEEDED"
	codeDepthLimit      = "DEPTH_LIMIT_EXCEEDED"
	codeAliasLimit      = "ALIAS_LIMIT_EXCEEDED"
	codeDirectiveLimit  = "DIRECTIVE_LIMIT_EXCEEDED"
	codeRootFieldLimit  = "ROOT_FIELD_LIMIT_EXCEEDED"
	codeUnknownDocument = "UNKNOWN_DOCUMENT"
	codeNeedsStream     = "SUBSCRIPTION_NEEDS_STREAM"
	codeTimeout         = "TIMEOUT"
	codeInternal        = "INTERNAL"
)

// maxMessage bounds messages of the parser and validator, which quote the document.
const maxMessage = 500

func codeOf(err *gqlerror.Error) string {
	code, _ := err.Extensions["code"].(string)
	return code
}

// errTooMuch marks refusals of a request that have no code of their own for a limit.
var errTooMuch = errors.New("more is asked for than is allowed")

// isLimit reports whether the caller asked for more than is allowed: 400 whatever media type was wanted.
func isLimit(err *gqlerror.Error) bool {
	return strings.HasSuffix(codeOf(err), "_LIMIT_EXCEEDED") || codeOf(err) == codeUnknownDocument || errors.Is(err.Err, errTooMuch)
}

// presenter makes what a caller sees of an error. Text of an error that is not marked by package
// fault never leaves: it is logged under the errorId that the caller gets.
func presenter(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		shown := graphql.DefaultErrorPresenter(ctx, err)
		if shown.Err == nil && requestPhase(ctx) && codeOf(shown) == "" {
			errcode.Set(shown, codeBadRequest)
		}
		if code := codeOf(shown); code != "" {
			if code == errcode.ParseFailed && strings.Contains(shown.Message, "token limit") {
				shown.Extensions["code"] = codeTokenLimit
			}
			if strings.HasPrefix(shown.Message, "Maximum introspection depth") {
				shown.Extensions["code"] = codeDepthLimit
			}
			shown.Message = withoutValue(shown.Message)
			if len(shown.Path) > 0 && shown.Path[0] == ast.PathName("variable") { // a path is one of the answer's
				shown.Message, shown.Path = placeOf(shown.Path[1:])+": "+shown.Message, nil
			}
			if len(shown.Message) > maxMessage {
				shown.Message = strings.ToValidUTF8(shown.Message[:maxMessage], "") + " …"
			}
			return shown
		}
		var overflow *graphql.NumberOverflowError
		if errors.As(err, &overflow) {
			shown.Message = "The number does not fit into 32 bits."
			errcode.Set(shown, codeBadUserInput)
			return shown
		}
		shown.Message, shown.Extensions = present(ctx, err, log)
		return shown
	}
}

// placeOf is a place in the variables, as in $input.tags[1]. Names that the schema does not have are quoted and cut.
func placeOf(path ast.Path) string {
	place := "$"
	for i, step := range path {
		switch s := step.(type) {
		case ast.PathIndex:
			place += fmt.Sprintf("[%d]", s)
		case ast.PathName:
			name := string(s)
			if len(name) > 60 || !plainName.MatchString(name) {
				name = strconv.QuoteToASCII(name[:min(len(name), 60)])
			}
			if i > 0 {
				place += "."
			}
			place += name
		}
	}
	return place
}

var plainName = regexp.MustCompile(`^\w+$`)

// quotedValue are the ends of messages of the validator that quote a value, which may be one that nobody else is to see.
var quotedValue = regexp.MustCompile(`(?s)^(.* cannot represent a?\s?non[- ].+? value|Expected value of type "[^"]+"): .*$|^.* is not a valid (\w+)$|^cannot use .* as (\w+)$|^Value "[^"]*" does not exist in "(\w+)!?" enum\.(.*)$`)

// withoutValue takes the value out of a message of the validator, and what there is of [numberMark].
func withoutValue(message string) string {
	message = strings.Replace(message, `", found `, `": `, 1)
	m := quotedValue.FindStringSubmatch(message)
	switch {
	case m == nil:
		return wording.Replace(message)
	case m[1] != "":
		return m[1] + "."
	case m[2] != "":
		return "This is not a value of the enum " + m[2] + "."
	case m[4] != "":
		return "This is not a value of the enum " + m[4] + "." + m[5]
	}
	return "This is not of the type " + m[3] + "."
}

// wording takes the marks of numbers out, and puts the words of JSON for those of Go.
var wording = strings.NewReplacer(numberMark, "", `\u0000number:`, "", `\x00number:`, "",
	", not a slice", ", not a list", ", not a map", ", not an object", "enums must be ints or strings", "This is not a value of an enum.")

// requestPhase reports whether no operation has been chosen yet: errors are gqlgen's own.
func requestPhase(ctx context.Context) bool {
	return graphql.HasOperationContext(ctx) && graphql.GetOperationContext(ctx).Operation == nil
}

// rateLimited says after how many seconds to try again.
func rateLimited(after int, format string, args ...any) *gqlerror.Error {
	err := coded(codeRateLimited, format, args...)
	err.Extensions["retryAfter"] = after
	return err
}

func present(ctx context.Context, err error, log *slog.Logger) (string, map[string]any) {
	f := fault.Of(err)
	code, known := map[fault.Code]string{
		fault.Invalid: codeBadUserInput, fault.Unprocessable: codeBadUserInput,
		fault.TooLarge: codeBadUserInput, fault.Unsupported: codeBadUserInput,
		fault.Unauthorized: codeUnauthenticated, fault.Forbidden: codeForbidden,
		fault.NotFound: codeNotFound, fault.Conflict: codeConflict,
		fault.RateLimited: codeRateLimited, fault.Unavailable: codeUnavailable,
	}[f.Code]
	switch {
	case known:
		extensions := map[string]any{"code": code}
		if f.After > 0 {
			extensions["retryAfter"] = int(math.Ceil(f.After.Seconds()))
		}
		if f.Code == fault.Unavailable {
			log.WarnContext(ctx, "graphql: unavailable", "error", err)
		}
		return f.Message, extensions
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "The operation took too long. Ask for less at once.", map[string]any{"code": codeTimeout}
	case errors.Is(ctx.Err(), context.Canceled):
		return "The operation was cancelled.", map[string]any{"code": codeTimeout}
	}
	id := rand.Text()
	log.ErrorContext(ctx, "graphql: internal error", "error_id", id, "path", graphql.GetPath(ctx).String(), "error", err)
	return "internal error", map[string]any{"code": codeInternal, "errorId": id}
}

// recoverer logs a panic with its stack; what it returns is not marked, so the caller sees INTERNAL.
func recoverer(log *slog.Logger) graphql.RecoverFunc {
	return func(ctx context.Context, cause any) error {
		log.ErrorContext(ctx, "graphql: panic", "cause", cause, "stack", string(debug.Stack()))
		return errors.New("panic; see the log entry before this one")
	}
}
