package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

var types = gqlparser.MustLoadSchema(&ast.Source{Input: `
	type Query { items(first: Int!): [Item!]! }
	type Item { name: String! }
`})

// schema stands for the code that gqlgen generates. It knows one query.
type schema struct{}

// Schema implements [graphql.ExecutableSchema].
func (schema) Schema() *ast.Schema { return types }

// Complexity implements [graphql.ExecutableSchema]. A list costs its length times its fields.
func (schema) Complexity(
	_ context.Context, typeName, field string, children int, args map[string]any,
) (int, bool) {
	if typeName != "Query" || field != "items" {
		return 0, false
	}
	n, err := length(args)
	return max(n, 1) * children, err == nil
}

// Exec implements [graphql.ExecutableSchema].
func (schema) Exec(ctx context.Context) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	field := op.Operation.SelectionSet[0].(*ast.Field)
	n, err := length(field.ArgumentMap(op.Variables))
	if err != nil {
		return graphql.OneShot(graphql.ErrorResponse(ctx, "%v", err))
	}
	items := make([]map[string]string, n)
	for i := range items {
		items[i] = map[string]string{"name": fmt.Sprint("item ", i)}
	}
	data, err := json.Marshal(map[string]any{field.Alias: items})
	if err != nil {
		return graphql.OneShot(graphql.ErrorResponse(ctx, "%v", err))
	}
	return graphql.OneShot(&graphql.Response{Data: data})
}

// length returns the argument first.
func length(args map[string]any) (int, error) {
	n, ok := args["first"].(int64)
	if !ok || n < 0 || n > 100 {
		return 0, errors.New("first: want 0 to 100")
	}
	return int(n), nil
}
