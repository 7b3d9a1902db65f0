package main

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/rueidis"

	"github.com/ratelimit-go/ratelimit/redisstore"
)

// rueidisScripter is a redisstore.Scripter through rueidis, which pipelines by itself, and
// sends again only what it was told is ToRetryable.
type rueidisScripter struct{ rueidis.Client }

// RunScript implements redisstore.Scripter.
func (c rueidisScripter) RunScript(ctx context.Context, s *redisstore.Script, keys []string, arg []byte) (string, error) {
	n, text := int64(len(keys)), rueidis.BinaryString(arg)
	result := c.Do(ctx, c.B().Evalsha().Sha1(s.Hash()).Numkeys(n).Key(keys...).Arg(text).Build())
	if answer := new(rueidis.RedisError); errors.As(result.Error(), &answer) && strings.HasPrefix(answer.Error(), "NOSCRIPT") {
		result = c.Do(ctx, c.B().Eval().Script(s.Text()).Numkeys(n).Key(keys...).Arg(text).Build())
	}
	reply, err := result.ToString()
	if answer := new(rueidis.RedisError); errors.As(err, &answer) {
		err = redisstore.ServerError(answer.Error())
	}
	return reply, err
}
