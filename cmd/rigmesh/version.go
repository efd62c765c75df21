package main

import (
	"fmt"
	goruntime "runtime"

	"github.com/urfave/cli/v2"
)

func versionCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:        "version",
		Usage:       "print the version",
		Category:    categoryAll,
		Description: examples("rigmesh version --json"),
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if c.Bool("json") {
				return printJSON(k.out, struct {
					Version  string `json:"version"`
					Go       string `json:"go"`
					Platform string `json:"platform"`
				}{version, goruntime.Version(), goruntime.GOOS + "/" + goruntime.GOARCH})
			}
			fmt.Fprintln(k.out, "rigmesh", version)
			return nil
		},
	}, arguments{0, 0})
}
