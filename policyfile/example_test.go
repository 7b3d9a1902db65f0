package policyfile_test

import (
	"fmt"
	"log"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

func ExampleParse() {
	file, err := policyfile.Parse([]byte(`
version: 1
rules:
  - name: per-client
    limits: 100 per minute
`), policyfile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	limiter, err := ratelimit.New(file.Config())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(limiter.ClientIP().IsZero(), file.Config().Rules[0].Limits)
	// Output: true 100 per minute
}

func ExampleMistakes() {
	_, err := policyfile.Parse([]byte(`
version: 1
rules:
  - nam: per-client
    limits: 100 per minuet
`), policyfile.Options{})
	fmt.Println(err)
	// Output:
	// 4:5: rules[0].nam: unknown field: did you mean name?
	// 4:5: rules[0].name: missing: want it here
	// 5:21: rules[0].limits: "100 per minuet": unknown unit "minuet": use minute
}
