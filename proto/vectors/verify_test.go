// Package vectors holds no program: it shows that SPEC.md and the vectors beside it are
// enough to write a verifier. What follows imports nothing of this module.
package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

func TestVerifierWrittenFromTheSpecAgreesWithTheVectors(t *testing.T) {
	b, err := os.ReadFile("files.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Good []struct {
			Name, File string
			Says       map[string]any
		}
		Bad []struct{ Name, Why, File string }
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Good) < 9 || len(v.Bad) < 60 {
		t.Fatalf("%d good and %d bad files", len(v.Good), len(v.Bad))
	}
	for _, g := range v.Good {
		file, _ := hex.DecodeString(g.File)
		found, err := verify(file)
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		for name, want := range found {
			if got, ok := g.Says[name]; !ok || text(got) != text(want) {
				t.Errorf("%s: %s is %v, not %v", g.Name, name, want, got)
			}
		}
	}
	for _, b := range v.Bad {
		file, _ := hex.DecodeString(b.File)
		if found, err := verify(file); err == nil {
			t.Errorf("%s, %s: it verifies as %v", b.Name, b.Why, found)
		}
	}
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// verify checks a file of any kind, and gives what it says.
func verify(file []byte) (found map[string]any, err error) {
	defer func() {
		if r, ok := recover().(refusal); ok {
			found, err = nil, r
		}
	}()
	must(len(file) > 8+32 && string(file[:7]) == "rigmesh", "magic")
	body := file[:len(file)-32]
	must(sha(body) == hash(file[len(file)-32:]), "sum")
	switch file[7] {
	case 1:
		must(len(file) <= 16<<10, "size")
		m := parse("Receipt", body[8:], true)
		must(m.num(1) == 1, "version")
		return verifyReceipt(m).says(), nil
	case 2:
		must(len(file) <= 256<<20, "size")
		m := parse("Whole", body[8:], true)
		must(m.num(1) == 1, "version")
		return verifyWhole(m), nil
	case 3:
		must(len(file) <= 16<<10, "size")
		m := parse("Equivocation", body[8:], true)
		must(m.num(1) == 1, "version")
		return verifyEquivocation(m), nil
	}
	return nil, refusal("kind")
}

// refusal is why something is not accepted.
type refusal string

func (r refusal) Error() string { return string(r) }

func must(ok bool, why string) {
	if !ok {
		panic(refusal(why))
	}
}
