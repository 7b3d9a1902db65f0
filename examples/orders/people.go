package main

import "fmt"

// Who is in the database, and what they chose as passwords.

const (
	partners        = 3
	partnerPassword = "a secret of the partners"
	adminName       = "admin"
	adminPassword   = "a secret of the office"
)

func customer(i int) string  { return fmt.Sprintf("user%04d", i) }
func partner(i int) string   { return fmt.Sprintf("partner%d", i) }
func reference(i int) string { return fmt.Sprintf("R-%08d", i) }

// word is the i-th entry of the list of common passwords that attackers work through.
func word(i int) string { return fmt.Sprintf("password-%03d", i%commonPasswords) }

const (
	commonPasswords = 60
	firstChosen     = 20 // nobody has chosen one of the very first
)

// wordOf is the password that customer i has chosen among the common ones.
func wordOf(i int) int { return firstChosen + i*17%(commonPasswords-firstChosen) }
