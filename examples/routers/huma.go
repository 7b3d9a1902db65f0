package main

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ratelimit-go/ratelimit"
)

type itemInput struct {
	ID int `path:"id"`
}

type itemOutput struct {
	Body struct {
		ID        int   `json:"id"`
		Remaining int64 `json:"remaining" doc:"requests that are left"`
	}
}

// item returns an error if there is no such item. huma renders it inside of the limiter, so the
// limiter sees the status.
func item(ctx context.Context, in *itemInput) (*itemOutput, error) {
	if in.ID == 0 {
		return nil, huma.Error404NotFound("no such item")
	}
	d, _ := ratelimit.DecisionFrom(ctx)
	out := new(itemOutput)
	out.Body.ID, out.Body.Remaining = in.ID, d.Remaining
	return out, nil
}

// newHuma returns an API with huma on a ServeMux. The rules of its operations are in Routes,
// because huma registers the handlers itself. With huma on gin, echo or fiber, use the adapter for
// that framework.
func newHuma() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "everything", Limits: ratelimit.MustParse("30 per minute")},
			{
				Name: "missing", Limits: ratelimit.MustParse("3 per minute"),
				CountOnly: ratelimit.StatusIn(http.StatusNotFound),
			},
		},
		Routes: map[string][]ratelimit.Rule{
			"GET /items/{id}": {{Name: "items", Limits: ratelimit.MustParse("10 per minute")}},
		},
	})
	if err != nil {
		return nil, err
	}
	router := http.NewServeMux()
	api := humago.New(router, huma.DefaultConfig("Items", "1.0.0"))
	huma.Get(api, "/items/{id}", item)
	return limiter.Handler(router), nil
}
