package policyfile

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// definition is the part of a definition in the schema that says which fields there are.
type definition struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Additional *bool                      `json:"additionalProperties"`
	Required   []string                   `json:"required"`
	Enum       []string                   `json:"enum"`
	Pattern    string                     `json:"pattern"`
	OneOf      []definition               `json:"oneOf"`
}

// TestSchemaHasTheFields compares the fields, the required fields and the choices of the schema
// with the types that the decoder fills. It looks for each field in the full file too.
func TestSchemaHasTheFields(t *testing.T) {
	var schema struct {
		Defs map[string]definition `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal([]byte(Schema), &schema))
	full, err := os.ReadFile("testdata/good/full.yaml")
	require.NoError(t, err)
	seen := map[reflect.Type]bool{}
	var compare func(of reflect.Type)
	compare = func(of reflect.Type) {
		switch {
		case seen[of]:
			return
		case of.Kind() == reflect.Map, of.Kind() == reflect.Slice && of != reflect.TypeFor[limits](),
			of.Kind() == reflect.Pointer:
			compare(of.Elem())
			return
		}
		seen[of] = true
		def, ok := schema.Defs[of.Name()]
		if c, isChoice := reflect.Zero(of).Interface().(chooser); isChoice {
			assert.Equal(t, c.choices(), def.Enum, of.Name())
		}
		if of.Kind() != reflect.Struct || len(fieldsOf(of)) == 0 {
			return
		}
		require.True(t, ok, "no definition of %s", of.Name())
		for _, one := range def.OneOf {
			if one.Properties != nil {
				def = one
			}
		}
		var required []string
		for name, field := range fieldsOf(of) {
			if field.required {
				required = append(required, name)
			}
			compare(of.Field(field.index).Type)
			if excluded := []string{"trusted_hops", "json"}; !slices.Contains(excluded, name) {
				assert.Regexp(t, `\b`+name+`:`, string(full), of.Name())
			}
		}
		slices.Sort(required)
		assert.ElementsMatch(t, required, def.Required, of.Name())
		require.NotNil(t, def.Additional, of.Name())
		assert.False(t, *def.Additional, of.Name())
		assert.Equal(t, slices.Sorted(maps.Keys(fieldsOf(of))), slices.Sorted(maps.Keys(def.Properties)), of.Name())
	}
	compare(reflect.TypeFor[file]())
	assert.Equal(t, modes.String(), schema.Defs["mode"].Pattern)
	assert.Greater(t, len(seen), 20)
}
