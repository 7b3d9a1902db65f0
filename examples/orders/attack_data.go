package main

import (
	"context"
	"fmt"
)

var expensive = &attack{
	name: "expensive queries",
	what: "twenty addresses ask for the 1000 most popular items, again and again",
	rate: 60, signs: []string{"costly global:strangers", "work addr:127.68."},
	arm: func(_ context.Context, _ *fleet, from addresses, _ size) (func(int) shot, error) {
		return func(i int) shot {
			path := "/api/items?sort=popular&per_page=1000&q=" + things[i%len(things)][1:]
			return shot{from: from.at(i % 20), method: "GET", path: path}
		}, nil
	},
}

var scraping = &attack{
	name: "scraping",
	what: "500 addresses with five accounts between them fetch the lists of users and orders, " +
		"1000 rows at a time",
	rate: 120, signs: []string{"costly user:user009", "work user:user009", "costly user:user0100"},
	arm: func(ctx context.Context, f *fleet, from addresses, size size) (func(int) shot, error) {
		tokens := make([]string, 5)
		for i := range tokens {
			token, err := logIn(ctx, f, from.at(i), customer(100-i), word(wordOf(100-i)))
			if err != nil {
				return nil, err
			}
			tokens[i] = token
		}
		return func(i int) shot {
			path := fmt.Sprintf("/api/orders?per_page=1000&page=%d", 1+i%(size.data.orders/1000+1))
			if i%3 == 0 {
				path = fmt.Sprintf("/api/users?per_page=1000&page=%d", 1+i%(size.data.users/1000+1))
			}
			return shot{from: from.at(i % 500), method: "GET", path: path, token: tokens[i%len(tokens)]}
		}, nil
	},
}
