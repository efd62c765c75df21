package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/node/config"
	"go.yaml.in/yaml/v3"
)

// jobFile is a job as a person writes it: job.yaml, and equally the flags of run.
type jobFile struct {
	Name       string          `yaml:"name,omitempty"`
	Image      string          `yaml:"image"`
	Platform   string          `yaml:"platform,omitempty"`
	Entrypoint words           `yaml:"entrypoint,omitempty,flow"`
	Command    words           `yaml:"command,omitempty,flow"`
	Env        variables       `yaml:"env,omitempty"`
	Workdir    string          `yaml:"workdir,omitempty"`
	User       string          `yaml:"user,omitempty"`
	Egress     egress          `yaml:"egress,omitempty"`
	ReadOnly   bool            `yaml:"read-only,omitempty"`
	Stdin      bool            `yaml:"stdin,omitempty"`
	Terminal   bool            `yaml:"terminal,omitempty"`
	Resources  resources       `yaml:"resources"`
	Inputs     []string        `yaml:"inputs,omitempty"`
	Outputs    []string        `yaml:"outputs,omitempty"`
	Ports      forwards        `yaml:"ports,omitempty"`
	Timeout    config.Duration `yaml:"timeout,omitempty"`
	Retries    uint32          `yaml:"retries,omitempty"`
	Price      price           `yaml:"price"`
	Placement  placement       `yaml:"placement,omitempty"`
	Prefer     prefer          `yaml:"prefer,omitempty"`
	Heartbeat  heartbeat       `yaml:"heartbeat,omitempty"`
}

type resources struct {
	GPU    gpuWish      `yaml:"gpu"`
	CPU    config.CPUs  `yaml:"cpu,omitempty"`
	Memory config.Bytes `yaml:"memory,omitempty"`
	Disk   config.Bytes `yaml:"disk,omitempty"`
}

type gpuWish struct {
	Count     uint32       `yaml:"count"`
	Model     string       `yaml:"model,omitempty"`
	VRAM      config.Bytes `yaml:"vram,omitempty"`
	Compute   dotted       `yaml:"compute,omitempty"`
	Driver    dotted       `yaml:"driver,omitempty"`
	CUDA      dotted       `yaml:"cuda,omitempty"`
	NVLink    bool         `yaml:"nvlink,omitempty"`
	Exclusive bool         `yaml:"exclusive,omitempty"`
	MIG       string       `yaml:"mig,omitempty"`
	Simulated bool         `yaml:"simulated,omitempty"`
}

type price struct {
	Max config.Price `yaml:"max"`
}

type heartbeat struct {
	Interval  config.Duration `yaml:"interval,omitempty"`
	Witnesses witnesses       `yaml:"witnesses,omitempty"`
	Disputed  string          `yaml:"disputed,omitempty"` // what to do about evidence that does not fit: show (the default) or stop
}

// check names the sizes that a unit was forgotten of.
func (r resources) check() []error {
	return []error{forgottenUnit("vram", r.GPU.VRAM), forgottenUnit("memory", r.Memory), forgottenUnit("disk", r.Disk)}
}

// forgottenUnit says so when a size is so small that its unit was not typed: 24 is 24 bytes.
func forgottenUnit(what string, size config.Bytes) error {
	if size == 0 || size >= 1<<20 {
		return nil
	}
	return fmt.Errorf("%s %dB: less than 1MiB; a size has a unit, such as 24GiB", what, size)
}

// newJobFile is a job about which nothing was said.
func newJobFile() jobFile {
	return jobFile{
		Resources: resources{GPU: gpuWish{Count: 1}},
		Price:     price{Max: 500_000},
	}
}

// readJobFile reads job.yaml. Its folders are relative to the file's own.
func readJobFile(path string) (jobFile, error) {
	j := newJobFile()
	text, err := os.ReadFile(path)
	if err != nil {
		return j, &usageError{fmt.Errorf("read job file: %w", err)}
	}
	if err := config.DecodeStrict(path, text, &j); err != nil {
		return j, &usageError{err}
	}
	dir := filepath.Dir(path)
	for i, text := range j.Inputs {
		if in, err := parseInput(text); err == nil { // a bad one is named by check
			if !in.onTheWeb() && !in.shared() {
				in.from = under(dir, in.from)
			}
			j.Inputs[i] = in.String()
		}
	}
	for i, text := range j.Outputs {
		if out, err := parseOutput(text); err == nil {
			out.dir = under(dir, out.dir)
			j.Outputs[i] = out.String()
		}
	}
	if ref, ok := strings.CutPrefix(j.Image, archivePrefix); ok {
		j.Image = archivePrefix + under(dir, ref)
	}
	return j, nil
}

// under puts a relative path below dir.
func under(dir, path string) string {
	if filepath.IsAbs(path) || dir == "." {
		return path
	}
	return filepath.Join(dir, path)
}

// String is the job as job.yaml.
func (j jobFile) String() (string, error) {
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(j), e.Close()); err != nil {
		return "", fmt.Errorf("write job file: %w", err)
	}
	return b.String(), nil
}

// dotted is a version such as 8.9 or 580.65.06, as text: the number 12.10 is not 12.1.
type dotted string

// Set reads a version.
func (d *dotted) Set(text string) error {
	if !gpu.Version(text).Valid() {
		return fmt.Errorf("version %q: want dotted numbers, such as 8.9", text)
	}
	*d = dotted(text)
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *dotted) UnmarshalYAML(n *yaml.Node) error {
	if err := d.Set(n.Value); err != nil {
		return lineError(n, "%v", err)
	}
	return nil
}

// words are a program and its arguments: a list, or one line without quoting.
type words []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return n.Decode((*[]string)(w))
	}
	if strings.ContainsAny(n.Value, "\"'\\$`|&;<>*?(){}") {
		return lineError(n, "no shell reads this line: write a list, such as [sh, -c, %q]", n.Value)
	}
	*w = strings.Fields(n.Value)
	return nil
}

// variables are NAME=value: a list of such, or keys.
type variables []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *variables) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return n.Decode((*[]string)(v))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i+1].Kind != yaml.ScalarNode {
			return lineError(n.Content[i+1], "variable %s wants one value", n.Content[i].Value)
		}
		*v = append(*v, n.Content[i].Value+"="+n.Content[i+1].Value)
	}
	return nil
}

func lineError(n *yaml.Node, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: ", n.Line) + fmt.Sprintf(format, args...)}}
}
