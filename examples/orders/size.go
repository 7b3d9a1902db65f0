package main

import "time"

// size is how much of everything there is in one comparison.
type size struct {
	data     dataset
	honest   float64       // requests per second of all honest clients
	calm     time.Duration // before each attack, only honest clients
	attack   time.Duration // the length of each attack
	after    time.Duration // at most, the attack goes on until the honest requests that came meanwhile are answered
	strength float64       // of the attacks: 1 is what full uses
	patience time.Duration // of honest clients
}

var (
	full = size{
		data:   dataset{users: 2_000, items: 20_000, orders: 100_000, iterations: 100_000},
		honest: 100, calm: 2500 * time.Millisecond, attack: 5 * time.Second, after: 5 * time.Second, strength: 1, patience: 5 * time.Second,
	}
	small = size{
		data:   dataset{users: 200, items: 500, orders: 2_000, iterations: 1_000},
		honest: 80, calm: 100 * time.Millisecond, attack: 400 * time.Millisecond, after: 400 * time.Millisecond, strength: 0.6, patience: time.Minute,
	}
)
