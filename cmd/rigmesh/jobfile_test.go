package main

import (
	"testing"

	"github.com/rigmesh/rigmesh/node/config"
)

// FuzzJobFile: what is read from a job.yaml is written as one that says the same.
func FuzzJobFile(f *testing.F) {
	for _, text := range []string{
		"image: alpine:3.20\ncommand: [sh, -c, 'echo $A']\nenv: {A: 1}\nresources: {gpu: {count: 2, vram: 24G, compute: 8.9}, cpu: 1.5, memory: 2G}\nprice: {max: 0.35}\n",
		"image: oci-archive:a.tar\ncommand: nvidia-smi -L\ninputs: ['data:/data:ro']\noutputs: ['out:/out']\nports: [8888, '192.0.2.7:8080:80', '[::1]:0:22']\n",
		"image: x\negress: [example.org, '*.example.com']\nheartbeat: {interval: 5s, witnesses: 3, disputed: stop}\nplacement: {region: [eu], max_rtt: 50ms}\nprefer: {start: 1}\n",
		"image: x\negress: public\nenv: ['A=x ', B=]\nheartbeat: {witnesses: [12D3KooWPJMiEvJ35ads69T4zVAVvihYwqvsA3HwPG47xhFPpUXQ]}\ntimeout: 1h30m\nretries: 2\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		read := newJobFile()
		if config.DecodeStrict("job.yaml", text, &read) != nil {
			return
		}
		written, err := read.String()
		if err != nil {
			t.Fatal(err)
		}
		again := newJobFile()
		if err := config.DecodeStrict("job.yaml", []byte(written), &again); err != nil {
			t.Fatalf("%v, of what was written:\n%s", err, written)
		}
		if twice, err := again.String(); err != nil || twice != written {
			t.Errorf("became, %v:\n%s\nand was:\n%s", err, twice, written)
		}
	})
}
