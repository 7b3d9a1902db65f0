package labels

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/key"
)

func TestTable(t *testing.T) {
	find := func(table *Table, k key.Key) string {
		text, ok := table.Find(k)
		assert.Equal(t, ok, text != "")
		return text
	}
	user := func(text string) key.Key { return key.Text(key.User, text) }
	long := strings.Repeat("a", 128)
	table := New(2)
	for _, text := range []string{long, long + "b", "<b>\nforged line</b> and more of it"} {
		table.Put(user(text), text)
	}
	assert.Equal(t, "user:"+long, find(table, user(long)))
	assert.Equal(t, "user:"+long+"...", find(table, user(long+"b")))
	assert.Equal(t, `user:"<b>\nforged line</b> and more of it"`, find(table, user("<b>\nforged line</b> and more of it")))
	assert.Empty(t, find(table, user("unknown to the table, and long")))

	for i := range 1000 {
		text := fmt.Sprintf("a user with the long number %d", i)
		table.Put(user(text), text)
		table.Put(user(text), text)
		assert.LessOrEqual(t, len(table.now)+len(table.old), 4)
		assert.Equal(t, "user:"+fmt.Sprintf("%q", text), find(table, user(text)))
	}
	assert.Empty(t, find(table, user(long)))
	assert.Nil(t, New(0))
	assert.Empty(t, find(nil, user(long)))
}
