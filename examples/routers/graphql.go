package main

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/ratelimit-go/ratelimit"
)

// outcome is what the operations of a request have come to. GraphQL answers errors with status 200,
// so the rules cannot see them in the response.
type outcome struct{ failed bool }

type outcomeKey struct{}

// withOutcome gives each request an outcome. It is outside of the limiter.
func withOutcome(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outcomeKey{}, new(outcome))))
	})
}

func outcomeOf(ctx context.Context) *outcome {
	o, _ := ctx.Value(outcomeKey{}).(*outcome)
	return o
}

// failed is for Rule.CountOnly. In doubt a request has failed.
func failed(res ratelimit.Response) bool {
	o := outcomeOf(res.Request.Context())
	return o == nil || o.failed || ratelimit.Failures(res)
}

// noteErrors notes whether a response has errors. A response without an outcome cannot be noted.
func noteErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	resp := next(ctx)
	if o := outcomeOf(ctx); o != nil && resp != nil && len(resp.Errors) > 0 {
		o.failed = true
	}
	return resp
}

// A charger makes the complexity of an operation its cost under the rule "complexity". The rule has
// taken one token. If the bucket lacks the rest, the operation is denied and the rest is not taken.
// Do not compare with Decision.Remaining instead: other requests of the client run meanwhile.
type charger struct{ limiter *ratelimit.Limiter }

func (c charger) charge(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	rest := int64(extension.GetComplexityStats(ctx).Complexity) - 1
	for d := range ratelimit.Decisions(ctx) {
		if d.Rule != "complexity" || rest < 1 {
			continue
		}
		if d, err := c.limiter.Take(ctx, d.Rule, d.Key, rest); err != nil || !d.Allowed {
			return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{{
				Message:    "too many requests",
				Extensions: map[string]any{"code": "RATE_LIMITED"},
			}}})
		}
	}
	return next(ctx)
}

// newGraphQL returns a GraphQL API with a budget of complexity, and a limit for requests that fail.
func newGraphQL() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "complexity", Limits: ratelimit.MustParse("200 per minute")},
		{Name: "errors", Limits: ratelimit.MustParse("5 per minute"), CountOnly: failed},
	}})
	if err != nil {
		return nil, err
	}
	server := handler.New(schema{}) // in your program: NewExecutableSchema of the generated code
	server.AddTransport(transport.POST{})
	server.Use(extension.FixedComplexityLimit(150))
	server.AroundOperations(charger{limiter}.charge)
	server.AroundResponses(noteErrors)
	mux := http.NewServeMux()
	mux.Handle("POST /graphql", server)
	return withOutcome(limiter.Handler(mux)), nil
}
