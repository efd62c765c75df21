package figure

import "testing"

func TestADocumentKeepsWhatIsAroundThePlace(t *testing.T) {
	const begin, end = "<!-- written by make x -->\n", "<!-- end of make x -->\n"
	got, err := splice([]byte("before\n"+begin+"old\n"+end+"after\n"), "make x", "new\n")
	if want := "before\n" + begin + "new\n" + end + "after\n"; err != nil || string(got) != want {
		t.Errorf("%v: %q", err, got)
	}
	for _, bad := range []string{"", begin, end, end + begin} {
		if _, err := splice([]byte(bad), "make x", "new"); err == nil {
			t.Errorf("%q has no place", bad)
		}
	}
}

func TestAChartIsOfWhatHasAValue(t *testing.T) {
	got := Chart("Sent", "bytes", "line", []Point{{"100", 4298}, {"none", 0}, {"250", 4357}})
	want := "```mermaid\nxychart-beta\n  title \"Sent\"\n  x-axis [\"100\", \"250\"]\n  y-axis \"bytes\" 0 --> 5228\n  line [4298.00, 4357.00]\n```\n\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if got := Chart("Sent", "bytes", "line", []Point{{"none", 0}}); got != "" {
		t.Errorf("a chart of nothing: %s", got)
	}
}
