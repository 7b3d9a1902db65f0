package main

import (
	"context"
	"fmt"
)

var webhookFlood = &attack{
	name: "webhook flood",
	what: "a partner's fifty machines report payments of orders that do not exist, without end",
	rate: 400, signs: []string{"partner user:partner2", "client user:partner2"},
	arm: func(ctx context.Context, f *fleet, from addresses, size size) (func(int) shot, error) {
		token, err := logIn(ctx, f, from.at(0), partner(partners-1), partnerPassword)
		return func(i int) shot {
			body := fmt.Sprintf(`{"reference": %q, "status": "paid"}`, reference(size.data.orders+i))
			return shot{from: from.at(i % 50), method: "POST", path: "/webhooks", token: token, body: body}
		}, err
	},
}
