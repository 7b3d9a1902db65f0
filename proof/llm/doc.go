// Package llm tests package tokenbudget with the SDKs of OpenAI and Anthropic, unmodified, against
// a server that behaves like the vendors. It is its own module, because the SDKs have many
// dependencies.
package llm
