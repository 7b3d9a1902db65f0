package main

import "fmt"

// The people in the database, and their passwords.

const (
	partners        = 3
	partnerPassword = "a secret of the partners"
	adminName       = "admin"
	adminPassword   = "a secret of the office"
)

func customer(i int) string  { return fmt.Sprintf("user%04d", i) }
func partner(i int) string   { return fmt.Sprintf("partner%d", i) }
func reference(i int) string { return fmt.Sprintf("R-%08d", i) }

// word returns number i of the list of common passwords that attackers try.
func word(i int) string { return fmt.Sprintf("password-%03d", i%commonPasswords) }

const (
	commonPasswords = 60
	firstChosen     = 20 // no customer has one of the passwords before this
)

// wordOf returns the number of the common password that customer i has.
func wordOf(i int) int { return firstChosen + i*17%(commonPasswords-firstChosen) }
