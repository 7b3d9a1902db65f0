package shed_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/shed"
)

func TestPriorityNames(t *testing.T) {
	var zero shed.Priority
	assert.Equal(t, "normal", zero.String())
	assert.Equal(t, "sheddable", shed.Sheddable.String())
	assert.Equal(t, "critical", shed.Critical.String())
	assert.Equal(t, "critical", shed.Priority(100).String())
	assert.Equal(t, "critical", shed.Priority(127).String())
	assert.Equal(t, "sheddable", shed.Priority(-128).String())
}
