package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"penstock/auth"
	"penstock/fault"
)

const (
	mediaJSON    = "application/json"
	mediaGraphQL = "application/graphql-response+json"
	mediaStream  = "text/event-stream"
)

// serveHTTP follows GraphQL over HTTP as the audits of graphql-http read it: request errors are 200
// for application/json and 400 for application/graphql-response+json.
func (h *handler) serveHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Add("Vary", "Accept")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")

	accepted := negotiate(r.Header.Values("Accept"))
	media := accepted.json
	if media == "" {
		media = mediaJSON // for refusals only
	}
	refuse := func(status int, code string, err error) {
		writeJSON(w, status, media, h.refusal(r.Context(), code, err))
	}

	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		head.Set("Allow", "GET, POST")
		refuse(http.StatusMethodNotAllowed, codeBadRequest, fault.New(fault.Invalid, "Use POST or GET."))
		return
	case !accepted.any():
		refuse(http.StatusNotAcceptable, codeBadRequest, fault.New(fault.Invalid,
			"Accept one of %s, %s and, for streams, %s.", mediaGraphQL, mediaJSON, mediaStream))
		return
	}
	caller, ok := auth.From(r.Context())
	if !ok {
		head.Set("WWW-Authenticate", "Bearer")
		refuse(http.StatusUnauthorized, codeUnauthenticated, auth.ErrNoCredential)
		return
	}
	req, status, err := h.read(w, r)
	if err != nil {
		code := codeBadRequest
		if fault.Is(err, fault.Forbidden) {
			code = codeForbidden
		}
		refuse(status, code, err)
		return
	}

	op, refused := h.prepare(r.Context(), req)
	streams := accepted.json == "" || refused == nil && op.isSubscription() && accepted.stream
	if refused == nil && streams {
		if release := h.streams.take(caller); release != nil {
			defer release()
		} else {
			refused = &graphql.Response{Errors: gqlerror.List{h.tooManyStreams()}}
		}
	}
	if refused != nil {
		status := http.StatusOK
		switch {
		case codeOf(refused.Errors[0]) == codeRateLimited: // to streams too: EventSource would come back at once
			status = http.StatusTooManyRequests
			head.Set("Retry-After", fmt.Sprint(refused.Errors[0].Extensions["retryAfter"]))
		case accepted.json != "" && (media == mediaGraphQL || isLimit(refused.Errors[0])):
			status = http.StatusBadRequest
		}
		if accepted.json != "" {
			writeJSON(w, status, media, answerOf(refused))
		} else {
			h.stream(w, r, status, once(refused), func() {})
		}
		return
	}
	switch {
	case r.Method == http.MethodGet && op.isMutation():
		head.Set("Allow", "POST")
		refuse(http.StatusMethodNotAllowed, codeBadRequest, fault.New(fault.Invalid, "Send mutations by POST."))
	case op.isSubscription() && !streams:
		refuse(http.StatusBadRequest, codeNeedsStream, fault.New(fault.Invalid,
			"Send subscriptions with \"Accept: text/event-stream\" or over a WebSocket (graphql-transport-ws)."))
	case streams:
		next, stop := h.run(op)
		h.stream(w, r, http.StatusOK, next, stop)
	default:
		next, stop := h.run(op)
		defer stop()
		if resp := next(); resp != nil {
			writeJSON(w, http.StatusOK, media, answerOf(resp))
		}
	}
}

// read takes the request's parameters from the body or the URL. The status goes with the error.
func (h *handler) read(w http.ResponseWriter, r *http.Request) (*request, int, error) {
	if r.Method == http.MethodGet {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "cross-site", "same-site":
			return nil, http.StatusForbidden, fault.New(fault.Forbidden, "A page of another site may not do this.")
		}
		if int64(len(r.URL.RawQuery)) > h.limits.Body {
			return nil, http.StatusRequestURITooLong, fault.New(fault.TooLarge, "The query is longer than %d bytes. Use POST.", h.limits.Body)
		}
		req, err := parseQuery(r.URL.Query())
		return req, http.StatusBadRequest, err
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != mediaJSON || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") ||
		r.Header.Get("Content-Encoding") != "" {
		return nil, http.StatusUnsupportedMediaType, fault.New(fault.Unsupported, "Send \"Content-Type: application/json\" in UTF-8, not compressed.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.limits.Body))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, http.StatusRequestEntityTooLarge, fault.New(fault.TooLarge, "The request is larger than %d bytes.", h.limits.Body)
	}
	if err != nil {
		return nil, http.StatusBadRequest, fault.Wrap(err, fault.Invalid, "The request could not be read to its end.")
	}
	req, err := parseRequest(body)
	return req, http.StatusBadRequest, err
}

// Refuse answers a request for /graphql that the server stopped before the handler. errorID finds an
// internal error in the server's log.
func Refuse(w http.ResponseWriter, r *http.Request, status int, f *fault.Error, errorID string) {
	media := negotiate(r.Header.Values("Accept")).json
	if media == "" {
		media = mediaJSON
	}
	message, extensions := present(r.Context(), f, slog.New(slog.DiscardHandler)) // the server has logged it
	switch extensions["code"] {
	case codeBadUserInput:
		extensions["code"] = codeBadRequest
	case codeInternal:
		extensions["errorId"] = errorID
	}
	w.Header().Add("Vary", "Accept")
	writeJSON(w, status, media, answer{Errors: gqlerror.List{{Message: message, Extensions: extensions}}})
}

func writeJSON(w http.ResponseWriter, status int, media string, a answer) {
	w.Header().Set("Content-Type", media+"; charset=utf-8")
	w.WriteHeader(status)
	a.writeTo(w)
}

// encode writes v without escaping HTML characters, which JSON does not need.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		b.Reset()
		_ = e.Encode(answer{Errors: append(answer{}.Errors, coded(codeInternal, "internal error"))})
	}
	return bytes.TrimSpace(b.Bytes())
}

// acceptable is what a client takes: one of the JSON types or "", and whether streams.
type acceptable struct {
	json   string
	stream bool
}

func (a acceptable) any() bool { return a.json != "" || a.stream }

// negotiate reads Accept with its q values. Without one, or for */*, it is application/json; where
// both JSON types are as welcome, the newer one wins.
func negotiate(headers []string) acceptable {
	if strings.TrimSpace(strings.Join(headers, "")) == "" {
		return acceptable{json: mediaJSON}
	}
	q := map[string]float64{}
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
			continue
		}
		q[media] = 1
		if text, ok := params["q"]; ok {
			q[media], _ = strconv.ParseFloat(text, 64)
		}
	}
	quality := func(media string, wildcards ...string) float64 {
		for _, name := range append([]string{media}, wildcards...) {
			if value, ok := q[name]; ok {
				return value
			}
		}
		return 0
	}
	plain, graphql := quality(mediaJSON, "application/*", "*/*"), quality(mediaGraphQL)
	a := acceptable{stream: quality(mediaStream, "text/*") > 0}
	switch {
	case graphql > 0 && graphql >= plain:
		a.json = mediaGraphQL
	case plain > 0:
		a.json = mediaJSON
	}
	return a
}
