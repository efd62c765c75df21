package job

import (
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// CheckSpec says everything that is wrong with a spec. Who runs one does all of what
// it says, so one with fields that this program does not know is refused.
func CheckSpec(s *marketv1.Spec) error {
	p := newProblems()
	p.version(s.GetVersion())
	p.want(CheckKnown(s) == nil, "fields", "want none that this version of rigmesh does not know")
	p.image(s.GetImage())
	p.words("entrypoint", s.GetEntrypoint())
	p.words("command", s.GetCommand())
	p.env(s.GetEnv())
	if s.GetWorkdir() != "" {
		p.absolute("workdir", s.GetWorkdir())
	}
	if u := s.GetUser(); u != "" {
		p.want(len(u) <= MaxNameBytes && userShape.MatchString(u), "user",
			"want USER or USER:GROUP, names or numbers, at most %d bytes", MaxNameBytes)
	}
	p.requirement(s.GetGpu())
	p.resources(s.GetResources())
	p.folders(s.GetInputs(), s.GetOutputs())
	p.egress(s.GetEgress())
	if s.GetTimeoutMs() != 0 {
		p.span("timeout_ms", s.GetTimeoutMs(), MinDuration, MaxDuration)
	}
	p.text("name", s.GetName())
	return p.err()
}

// InputFile is what the file of an input that is one file is called in its manifest.
const InputFile = "file"

func (p problems) image(i *marketv1.Image) {
	if i == nil {
		p.add("image", "want an image")
		return
	}
	p = p.in("image")
	p.digest("digest", i.GetDigest())
	p.text("media_type", i.GetMediaType())
	p.most("size_bytes", i.GetSizeBytes(), MaxImageIndex)
	p.platform(i.GetPlatform())
	p.most("total_bytes", i.GetTotalBytes(), MaxBlobTotal)
	p.most("layers", uint64(i.GetLayers()), MaxLayers)
	p.want(len(i.GetName()) <= MaxText && CleanText(i.GetName()) == i.GetName(), "name",
		"want at most %d bytes of printable text", MaxText)
}

// words checks an entrypoint or a command. Any byte but NUL may be in a word.
func (p problems) words(field string, words []string) {
	p.want(len(words) <= MaxArgs, field, "want at most %d words, not %d", MaxArgs, len(words))
	total := 0
	for _, w := range words {
		total += len(w)
		if strings.ContainsRune(w, 0) {
			p.add(field, "want no NUL byte in a word")
			break
		}
	}
	p.want(total <= MaxArgsBytes, field, "want at most %d bytes in all, not %d", MaxArgsBytes, total)
	p.want(len(words) == 0 || words[0] != "", field, "want a program's name as the first word")
}

func (p problems) env(env []string) {
	p.want(len(env) <= MaxEnv, "env", "want at most %d variables, not %d", MaxEnv, len(env))
	seen := make(map[string]bool, len(env))
	total := 0
	for i, e := range env {
		total += len(e)
		name, _, assigned := strings.Cut(e, "=")
		at := p.in("env[%d]", i)
		at.want(assigned && envNameShape.MatchString(name), "name",
			"want NAME=value, the name of letters, digits and _")
		at.want(!strings.ContainsRune(e, 0), "value", "want no NUL byte")
		at.want(!seen[name], "name", "want each variable once: %s is there twice", CleanText(name))
		seen[name] = true
	}
	p.want(total <= MaxEnvBytes, "env", "want at most %d bytes in all, not %d", MaxEnvBytes, total)
}

// folders checks inputs and outputs, each by itself and against all others: no
// two may overlap, or what one task wrote would be another folder's content.
func (p problems) folders(inputs []*marketv1.Input, outputs []string) {
	p.want(len(inputs) <= MaxFolders, "inputs", "want at most %d, not %d", MaxFolders, len(inputs))
	p.want(len(outputs) <= MaxFolders, "outputs", "want at most %d, not %d", MaxFolders, len(outputs))
	if len(inputs) > MaxFolders || len(outputs) > MaxFolders {
		return // and do not compare each with each
	}
	var good []string
	place := func(at problems, field, folder string) {
		if !at.folder(field, folder) {
			return
		}
		for _, other := range good {
			at.want(!overlap(folder, other), field, "want folders that do not overlap: %s and %s do", folder, other)
		}
		good = append(good, folder)
	}
	for i, in := range inputs {
		at := p.in("inputs[%d]", i)
		at.digest("manifest", in.GetManifest())
		at.most("total_bytes", in.GetTotalBytes(), MaxBlobTotal)
		place(at, "path", in.GetPath())
	}
	for i, out := range outputs {
		place(p.in("outputs[%d]", i), "path", out)
	}
}

func (p problems) requirement(r *marketv1.Requirement) {
	if r == nil {
		p.add("gpu", "want what the job needs of its GPUs")
		return
	}
	p = p.in("gpu")
	p.want(r.GetCount() >= 1 && r.GetCount() <= MaxGPUs, "count", "want 1 to %d devices, not %d", MaxGPUs, r.GetCount())
	p.want(len(r.GetModels()) <= MaxModels, "models", "want at most %d, not %d", MaxModels, len(r.GetModels()))
	for _, m := range r.GetModels()[:min(len(r.GetModels()), MaxModels)] {
		p.model("models", m)
	}
	p.most("vram_bytes", r.GetVramBytes(), MaxVRAM)
	p.dotted("capability", r.GetCapability())
	p.dotted("driver", r.GetDriver())
	p.dotted("cuda", r.GetCuda())
	p.profile("mig", r.GetMig())
}

// dotted checks a version; empty is none.
func (p problems) dotted(field, v string) {
	p.want(v == "" || len(v) <= MaxVersion && gpu.Version(v).Valid(), field,
		"want dotted numbers such as 8.9, at most %d bytes, not %.64q", MaxVersion, v)
}

// profile checks the name of a MIG profile; empty is none.
func (p problems) profile(field, v string) {
	p.want(v == "" || len(v) <= MaxModelBytes && profileShape.MatchString(v), field,
		"want a MIG profile such as 1g.10gb, at most %d bytes, not %.64q", MaxModelBytes, v)
}

// resources may be missing: the worker's defaults hold then.
func (p problems) resources(r *marketv1.Resources) {
	p = p.in("resources")
	p.most("cpu_millis", r.GetCpuMillis(), MaxCPUMillis)
	p.most("memory_bytes", r.GetMemoryBytes(), MaxMemory)
	p.most("disk_bytes", r.GetDiskBytes(), MaxDisk)
	p.most("pids", uint64(r.GetPids()), MaxPids)
}
