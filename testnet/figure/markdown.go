package figure

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Point is one value of a chart and what it stands for.
type Point struct {
	Name  string
	Value float64
}

// Chart draws those points that have a value, from zero, in Mermaid's words, which
// GitHub draws. kind is "line" or "bar". Without a value there is no chart.
func Chart(title, unit, kind string, points []Point) string {
	var names, values []string
	most := 0.0
	for _, p := range points {
		if p.Value == 0 {
			continue
		}
		names = append(names, fmt.Sprintf("%q", p.Name))
		values = append(values, fmt.Sprintf("%.2f", p.Value))
		most = max(most, p.Value)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("```mermaid\nxychart-beta\n  title %q\n  x-axis [%s]\n  y-axis %q 0 --> %.4g\n  %s [%s]\n```\n\n",
		title, strings.Join(names, ", "), unit, 1.2*most, kind, strings.Join(values, ", "))
}

// Into writes text into a document, in the place of what a command wrote there before.
// The document has two lines that mark the place.
func Into(document, command, text string) error {
	doc, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if doc, err = splice(doc, command, text); err != nil {
		return fmt.Errorf("write into %s: %w", document, err)
	}
	return os.WriteFile(document, doc, 0o644)
}

func splice(doc []byte, command, text string) ([]byte, error) {
	begin, end := "<!-- written by "+command+" -->\n", "<!-- end of "+command+" -->\n"
	before, rest, ok := bytes.Cut(doc, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return nil, fmt.Errorf("no place for it: wanted the lines %q and %q", begin, end)
	}
	return bytes.Join([][]byte{before, []byte(begin), []byte(text), []byte(end), after}, nil), nil
}
