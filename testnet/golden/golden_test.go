package golden

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"

	_ "github.com/rigmesh/rigmesh/proto/control/v1"
	_ "github.com/rigmesh/rigmesh/proto/lease/v1"
	_ "github.com/rigmesh/rigmesh/proto/market/v1"
)

// tools/previous.sh golden runs this in the tree of the previous version.
var update = flag.Bool("update", false, "write the messages of the version this runs in")

const file = "testdata/messages.json"

// packages are those whose messages one version writes and another may read.
var packages = []protoreflect.FullName{"rigmesh.market.v1", "rigmesh.lease.v1", "rigmesh.control.v1"}

// sample is one message: what it says, as protobuf JSON, and its bytes.
type sample struct {
	Name string          `json:"name"`
	Says json.RawMessage `json:"says"`
	Hex  string          `json:"hex"`
}

func TestEveryMessageOfThePreviousVersionIsReadAsItWasMeant(t *testing.T) {
	if *update {
		writeSamples(t)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kept []sample
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range kept {
		names[s.Name] = true
		check(t, s)
	}
	if len(names) < 100 {
		t.Errorf("%d types of messages are kept", len(names))
	}
	t.Logf("%d messages of %d types", len(kept), len(names))
}

// check reads a message of the previous version and writes it again.
func check(t *testing.T, s sample) {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(s.Name))
	if err != nil {
		t.Errorf("%s is gone: a node of the previous version still sends it", s.Name)
		return
	}
	want, err := hex.DecodeString(s.Hex)
	if err != nil {
		t.Fatal(err)
	}
	m, says := kind.New().Interface(), kind.New().Interface()
	if err := proto.Unmarshal(want, m); err != nil {
		t.Errorf("%s: %v", s.Name, err)
		return
	}
	if err := protojson.Unmarshal(s.Says, says); err != nil {
		t.Errorf("%s: %v", s.Name, err)
	} else if d := cmp.Diff(says, m, protocmp.Transform()); d != "" {
		t.Errorf("%s is read as something else (-meant +read):\n%s", s.Name, d)
	}
	if got, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is written as %x, %v; it was %x", s.Name, got, err, want)
	}
}

// writeSamples keeps some of every message that this program knows.
func writeSamples(t *testing.T) {
	t.Helper()
	var all []sample
	for _, in := range packages {
		protoregistry.GlobalFiles.RangeFilesByPackage(in, func(f protoreflect.FileDescriptor) bool {
			for i := range f.Messages().Len() {
				for _, m := range full(f.Messages().Get(i)) {
					all = append(all, encode(t, m))
				}
			}
			return true
		})
	}
	slices.SortStableFunc(all, func(a, b sample) int { return strings.Compare(a.Name, b.Name) })
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, m proto.Message) sample {
	t.Helper()
	says, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return sample{string(m.ProtoReflect().Descriptor().FullName()), says, hex.EncodeToString(b)}
}
