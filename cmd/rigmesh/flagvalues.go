package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

// flagValue is a flag whose text has a unit, and where its value goes.
type flagValue struct {
	name string
	into interface{ Set(string) error }
}

// parseFlags reads the flags that have a text, and names every one that does not read.
func parseFlags(c *cli.Context, values ...flagValue) error {
	var problems []error
	for _, v := range values {
		text := c.String(v.name)
		if text == "" && !c.IsSet(v.name) {
			continue
		}
		if err := v.into.Set(text); err != nil {
			problems = append(problems, fmt.Errorf("flag %s: %w", dashed(v.name), err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return &usageError{err}
	}
	return nil
}
