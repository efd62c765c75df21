package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// printHelp is urfave/cli's HelpPrinter with the shape people know from docker and git:
// usage, what it does, examples, then flags by what they are about.
func printHelp(w io.Writer, _ string, data any) {
	switch of := data.(type) {
	case *cli.App:
		fmt.Fprintf(w, "Usage: %s\n\n%s.\n\n%s\n", of.UsageText, sentenceCase(of.Usage), of.Description)
		printCommands(w, of.Commands)
		printFlags(w, of.Flags)
		fmt.Fprintf(w, "\nrigmesh COMMAND --help says more.\n")
	case *cli.Command:
		usage := of.UsageText
		if usage == "" {
			usage = strings.TrimSpace(of.HelpName + " [flags] " + of.ArgsUsage)
		}
		fmt.Fprintf(w, "Usage: %s\n\n%s.\n\n%s\n", usage, sentenceCase(of.Usage), of.Description)
		printCommands(w, of.Subcommands)
		printFlags(w, of.Flags)
	}
}

func sentenceCase(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// printCommands lists commands under their categories, in the order they are in.
func printCommands(w io.Writer, commands []*cli.Command) {
	var order []string
	groups := map[string][]*cli.Command{}
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		category := c.Category
		if category == "" {
			category = "Commands:"
		}
		if groups[category] == nil {
			order = append(order, category)
		}
		groups[category] = append(groups[category], c)
	}
	for _, category := range order {
		fmt.Fprintf(w, "\n%s\n", category)
		t := tabwriter.NewWriter(w, 0, 4, 3, ' ', 0)
		for _, c := range groups[category] {
			fmt.Fprintf(t, "  %s\t%s\n", strings.TrimSpace(c.Name+" "+c.ArgsUsage), c.Usage)
		}
		_ = t.Flush()
	}
}

// printFlags lists flags under their categories, in the order they are in.
func printFlags(w io.Writer, flags []cli.Flag) {
	var order []string
	groups := map[string][]string{}
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok || f.Names()[0] == "help" {
			continue
		}
		category := "Flags:"
		if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() != "" {
			category = c.GetCategory()
		}
		if groups[category] == nil {
			order = append(order, category)
		}
		groups[category] = append(groups[category], flagLine(f, d))
	}
	for _, category := range order {
		fmt.Fprintf(w, "\n%s\n", category)
		t := tabwriter.NewWriter(w, 0, 4, 3, ' ', 0)
		for _, line := range groups[category] {
			fmt.Fprintln(t, line)
		}
		_ = t.Flush()
	}
}

// flagLine is one flag: "  -v, --volume DIR", a tab, and what it does. The word in
// back quotes in its usage stands for its value.
func flagLine(f cli.Flag, d cli.DocGenerationFlag) string {
	long, shorts := f.Names()[0], "    "
	for _, alias := range f.Names()[1:] {
		shorts = "-" + alias + ", "
	}
	before, rest, quoted := strings.Cut(d.GetUsage(), "`")
	value, after, _ := strings.Cut(rest, "`")
	line := "  " + shorts + "--" + long
	if d.TakesValue() && quoted {
		line += " " + value
	}
	line += "\t" + before + value + after
	if s, ok := f.(*cli.StringFlag); ok && s.Value != "" {
		line += fmt.Sprintf(" (default: %s)", s.Value)
	}
	return line
}
