package main

import (
	"context"
	"fmt"
)

var bruteForce = &attack{
	name:  "brute force",
	what:  "one address works through a list of passwords for one account",
	rate:  250,
	limit: perPair,
	signs: []string{"login-pair user:user0001+addr:127.64.", "client addr:127.64."},
	arm: func(_ context.Context, _ *fleet, from addresses, _ size) (func(int) shot, error) {
		return func(i int) shot { return guess(from, 1, 1, word(i)) }, nil
	},
}

var bruteForceMany = &attack{
	name:  "brute force, distributed",
	what:  "a thousand addresses work through a list of passwords for one account",
	rate:  250,
	limit: perAccount, victim: 2,
	signs: []string{"login-account user:user0002"},
	arm: func(_ context.Context, _ *fleet, from addresses, _ size) (func(int) shot, error) {
		return func(i int) shot { return guess(from, i%1000, 2, word(i)) }, nil
	},
}

var spraying = &attack{
	name:  "password spraying",
	what:  "one address tries one common password on one account after the other",
	rate:  250,
	limit: perAddress,
	signs: []string{"login-address addr:127.66.", "client addr:127.66."},
	arm: func(_ context.Context, _ *fleet, from addresses, size size) (func(int) shot, error) {
		victims := size.data.users / 4
		return func(i int) shot { return guess(from, 1, victims+i%victims, word(firstChosen)) }, nil
	},
}

var stuffing = &attack{
	name:  "credential stuffing",
	what:  "a thousand addresses try leaked pairs of names and passwords, one in twenty of them right",
	rate:  250,
	limit: perService,
	signs: []string{"login-total global:", "passwords global:"},
	arm: func(_ context.Context, _ *fleet, from addresses, size size) (func(int) shot, error) {
		users := size.data.users
		return func(i int) shot {
			victim := shoppers + i%(users-shoppers)
			password := "changed since"
			if i%20 == 19 {
				password = word(wordOf(victim))
			}
			return guess(from, i%1000, victim, password)
		}, nil
	},
}

// guess returns a login to the account of a customer.
func guess(from addresses, address, victim int, password string) shot {
	return loginShot(from.at(address), customer(victim), password)
}

var adminProbing = &attack{
	name: "admin probing",
	what: "a hundred addresses guess names and passwords at /admin/stats, and look what else is there",
	rate: 250, signs: []string{"office "},
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
