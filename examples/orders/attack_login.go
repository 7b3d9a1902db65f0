package main

import (
	"context"
	"fmt"
)

var bruteForce = &attack{
	name:  "brute force",
	what:  "one address works through a list of passwords for one account",
	rate:  250,
	limit: perAccount,
	arm: func(_ context.Context, _ *fleet, from addresses, _ size) (func(int) shot, error) {
		return func(i int) shot { return guess(from, 1, 61, word(i)) }, nil
	},
}

var bruteForceMany = &attack{
	name:  "brute force, distributed",
	what:  "a thousand addresses work through a list of passwords for one account",
	rate:  250,
	limit: perAccount,
	arm: func(_ context.Context, _ *fleet, from addresses, _ size) (func(int) shot, error) {
		return func(i int) shot { return guess(from, i%1000, 62, word(i)) }, nil
	},
}

var spraying = &attack{
	name:  "password spraying",
	what:  "one address tries one common password on one account after the other",
	rate:  250,
	limit: perAddress,
	arm: func(_ context.Context, _ *fleet, from addresses, size size) (func(int) shot, error) {
		victims := size.data.users / 4
		return func(i int) shot { return guess(from, 1, victims+i%victims, word(firstChosen)) }, nil
	},
}

// guess tries a password on the account of a customer.
func guess(from addresses, address, victim int, password string) shot {
	return shot{from: from.at(address), method: "POST", path: "/login", name: customer(victim), password: password}
}

var adminProbing = &attack{
	name: "admin probing",
	what: "a hundred addresses guess names and passwords at /admin/stats, and look what else is there",
	rate: 250,
	arm: func(_ context.Context, _ *fleet, from addresses, _ size) (func(int) shot, error) {
		paths := []string{"/admin/stats", "/admin/stats", "/admin/stats", "/admin/.env"}
		names := []string{adminName, "root", "administrator", "stats"}
		return func(i int) shot {
			return shot{
				from: from.at(i % 100), method: "GET", path: paths[i%len(paths)],
				name: names[i/len(paths)%len(names)], password: fmt.Sprint(word(i), "!"),
			}
		}, nil
	},
}
