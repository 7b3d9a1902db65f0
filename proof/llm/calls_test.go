package llm_test

import (
	"context"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

// clients are the SDKs of a vendor.
type clients struct {
	openAI    openai.Client
	anthropic anthropic.Client
}

// calls are one call of each kind, with a bound of its output. A stream returns the texts that it
// got, as far as it was read.
var calls = map[string]func(ctx context.Context, c clients, tokens int64) error{
	"openai chat": func(ctx context.Context, c clients, tokens int64) error {
		_, err := c.openAI.Chat.Completions.New(ctx, chatOf(tokens))
		return err
	},
	"openai chat streamed": func(ctx context.Context, c clients, tokens int64) error {
		s := c.openAI.Chat.Completions.NewStreaming(ctx, chatOf(tokens))
		for s.Next() {
			_ = s.Current()
		}
		return s.Err()
	},
	"openai responses": func(ctx context.Context, c clients, tokens int64) error {
		_, err := c.openAI.Responses.New(ctx, responseOf(tokens))
		return err
	},
	"openai responses streamed": func(ctx context.Context, c clients, tokens int64) error {
		s := c.openAI.Responses.NewStreaming(ctx, responseOf(tokens))
		for s.Next() {
			_ = s.Current()
		}
		return s.Err()
	},
	"anthropic messages": func(ctx context.Context, c clients, tokens int64) error {
		_, err := c.anthropic.Messages.New(ctx, messageOf(tokens))
		return err
	},
	"anthropic messages streamed": func(ctx context.Context, c clients, tokens int64) error {
		s := c.anthropic.Messages.NewStreaming(ctx, messageOf(tokens))
		for s.Next() {
			_ = s.Current()
		}
		return s.Err()
	},
}

func chatOf(tokens int64) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:               "m",
		Messages:            []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hello.")},
		MaxCompletionTokens: openai.Int(tokens),
		StreamOptions:       openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
}

func responseOf(tokens int64) responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: "m", MaxOutputTokens: openai.Int(tokens),
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Say hello.")},
	}
}

func messageOf(tokens int64) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: "m", MaxTokens: tokens,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello."))},
	}
}
