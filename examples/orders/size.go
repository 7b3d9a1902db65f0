package main

import "time"

// size says how large and how long one comparison is.
type size struct {
	data     dataset
	honest   float64       // requests per second of all honest clients
	calm     time.Duration // before each attack, only honest clients
	attack   time.Duration // the length of each attack
	after    time.Duration // how much longer an attack may go on, until honest requests are answered
	strength float64       // the factor for the rates of the attacks
	patience time.Duration // how long an honest client waits for an answer
}

var (
	full = size{
		data:   dataset{users: 2_000, items: 20_000, orders: 100_000, iterations: 100_000},
		honest: 100, strength: 1, patience: 5 * time.Second,
		calm: 2500 * time.Millisecond, attack: 5 * time.Second, after: 5 * time.Second,
	}
	small = size{
		data:   dataset{users: 200, items: 200, orders: 500, iterations: 1_000},
		honest: 80, strength: 0.6, patience: time.Minute,
		calm: 100 * time.Millisecond, attack: 400 * time.Millisecond, after: 400 * time.Millisecond,
	}
)
