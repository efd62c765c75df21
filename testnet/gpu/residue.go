//go:build linux

package main

import (
	"context"
	"fmt"
)

// residue fills the card's memory with a mark, clears it, and counts what is left.
// The same without clearing in between says whether the count can be anything but zero.
func (c *check) residue(ctx context.Context) (string, error) {
	filled, err := c.works(ctx, "fill")
	if err != nil {
		return "", err
	}
	uncleared, err := c.works(ctx, "look")
	if err != nil {
		return "", err
	}
	if _, err := c.works(ctx, "fill"); err != nil {
		return "", err
	}
	if err := c.client.Scrub(ctx, c.device.UUID); err != nil {
		return "", err
	}
	cleared, err := c.works(ctx, "look")
	if err != nil {
		return "", err
	}
	seen := fmt.Sprintf("%s bytes marked; found after: without clearing %s words, with clearing %s", filled["bytes"], uncleared["marked"], cleared["marked"])
	if cleared["marked"] != "0" {
		return "", fmt.Errorf("the tenant after finds something: %s", seen)
	}
	return seen, nil
}
