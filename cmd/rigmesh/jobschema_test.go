package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/node/config"
)

var update = flag.Bool("update", false, "rewrite docs/job.schema.json")

// schemaFile is what editors read about job.yaml.
const schemaFile = "../../docs/job.schema.json"

// schema is a part of a JSON schema.
type schema map[string]any

// jobKeys says of every key of job.yaml what it means.
var jobKeys = map[string]string{
	"name":                     "of the job, for people",
	"image":                    "what docker would pull, or oci-archive:FILE",
	"platform":                 "of the image, and so of the worker; linux/amd64 unless named",
	"entrypoint":               "instead of the image's entrypoint",
	"command":                  "instead of the image's command: a list, or one line that no shell reads",
	"env":                      "variables of the task: NAME=value in a list, or keys",
	"workdir":                  "folder in which the task begins",
	"user":                     "USER or USER:GROUP in the task",
	"egress":                   "what the task may reach of the internet: public, none, or hosts such as *.example.org",
	"read-only":                "a root that cannot be written",
	"stdin":                    "the task has standard input",
	"terminal":                 "the task has a terminal",
	"resources":                "what the worker must have",
	"resources.gpu":            "what each GPU must be",
	"resources.gpu.count":      "how many",
	"resources.gpu.model":      "this model, or one of several: rtx-4090,l40s",
	"resources.gpu.vram":       "memory of each, at least: 24GiB",
	"resources.gpu.compute":    "compute capability of each, at least: 8.9",
	"resources.gpu.driver":     "version of the driver, at least: 580",
	"resources.gpu.cuda":       "version of CUDA that the driver runs, at least: 12.8",
	"resources.gpu.nvlink":     "all of them are linked by NVLink",
	"resources.gpu.exclusive":  "they are all that the machine lends",
	"resources.gpu.mig":        "slices of this profile instead of whole GPUs: 1g.10gb",
	"resources.gpu.simulated":  "simulated ones will do",
	"resources.cpu":            "cores: 4 or 0.5",
	"resources.memory":         "8GiB",
	"resources.disk":           "of root, outputs, and what the task writes over inputs: 100GiB",
	"inputs":                   "DIR:/path[:ro], FILE:/path, URL:/path or sha256:…:/path each, relative to this file",
	"outputs":                  "/path:DIR each: comes back when the task has ended",
	"ports":                    "[[ADDRESS:]LOCAL:]REMOTE each: ports of the task that open here while run runs",
	"timeout":                  "the task ends after this: 90s, 1h30m or 2d",
	"retries":                  "how often it is run again when its lease ends without an exit code",
	"price":                    "what a worker may ask",
	"price.max":                "credits per GPU-hour, at most six decimals: 0.35",
	"placement":                "which workers may run it",
	"placement.region":         "in one of these regions, as owners name them",
	"placement.max_rtt":        "within this round trip: 80ms",
	"placement.min_reputation": "percent, by the receipts that this node holds; a stranger has 50",
	"placement.deny":           "never on these peers",
	"prefer":                   "what else counts beside the price, in credits per GPU-hour",
	"prefer.start":             "of each minute until the task starts",
	"prefer.rtt":               "of each 100 ms of distance",
	"prefer.reputation":        "of a perfect reputation over none",
	"heartbeat":                "what both sides sign while it runs",
	"heartbeat.interval":       "between two heartbeats, 100ms to 1h",
	"heartbeat.witnesses":      "none, how many connected peers attest to the heartbeats, or which",
	"heartbeat.disputed":       "what happens when the worker's evidence does not fit",
}

var (
	scalar      = []string{"string", "number"}
	listOfWords = schema{"type": "array", "items": schema{"type": "string"}}
)

// jobTypes are the types that are not what Go says they are.
var jobTypes = map[reflect.Type]schema{
	reflect.TypeFor[config.Bytes]():    {"type": scalar, "pattern": `^ *[0-9.]+ *([bB]|[kKmMgGtT]([iI]?[bB])?)? *$`},
	reflect.TypeFor[config.Price]():    {"type": scalar, "pattern": `^ *[0-9]+(\.[0-9]{1,6})? *$`, "minimum": 0},
	reflect.TypeFor[config.CPUs]():     {"type": scalar, "pattern": `^ *[0-9.]+ *$`, "exclusiveMinimum": 0},
	reflect.TypeFor[config.Duration](): {"type": "string", "pattern": `^ *([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))* *$`},
	reflect.TypeFor[dotted]():          {"type": scalar, "pattern": `^[0-9]+(\.[0-9]+)*$`},
	reflect.TypeFor[words]():           {"type": []string{"string", "array"}, "items": schema{"type": []string{"string", "number", "boolean"}}},
	reflect.TypeFor[variables]():       {"type": []string{"array", "object"}, "items": schema{"type": "string"}},
	reflect.TypeFor[egress]():          {"type": []string{"string", "array"}, "items": schema{"type": "string"}},
	reflect.TypeFor[forwards]():        {"type": "array", "items": schema{"type": []string{"string", "integer"}}},
	reflect.TypeFor[witnesses]():       {"type": []string{"string", "integer", "array"}, "items": schema{"type": "string"}},
	reflect.TypeFor[[]string]():        listOfWords,
	reflect.TypeFor[string]():          {"type": "string"},
	reflect.TypeFor[bool]():            {"type": "boolean"},
	reflect.TypeFor[uint32]():          {"type": "integer", "minimum": 0},
}

// schemaOf writes a type as a schema, with what its keys mean. at is the way to it.
func schemaOf(t *testing.T, typ reflect.Type, at string) schema {
	t.Helper()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	s := schema{}
	if known, ok := jobTypes[typ]; ok {
		for k, v := range known {
			s[k] = v
		}
	} else if typ.Kind() == reflect.Struct {
		keys := schema{}
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			keys[key] = schemaOf(t, typ.Field(i).Type, strings.TrimPrefix(at+"."+key, "."))
		}
		s = schema{"type": "object", "properties": keys, "additionalProperties": false}
	} else {
		t.Errorf("no schema for %s, a %s", at, typ)
	}
	if at != "" {
		if jobKeys[at] == "" {
			t.Errorf("nothing says what %s is", at)
		}
		s["description"] = jobKeys[at]
	}
	return s
}

func TestTheSchemaOfJobFilesIsPublished(t *testing.T) {
	s := schemaOf(t, reflect.TypeFor[jobFile](), "")
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", "job.yaml of rigmesh run -f"
	s["properties"].(schema)["heartbeat"].(schema)["properties"].(schema)["disputed"].(schema)["enum"] = []string{"show", disputedStop}
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("docs/job.schema.json is not what job.yaml is (go test ./cmd/rigmesh -run Schema -update): %s", diff)
	}
}
