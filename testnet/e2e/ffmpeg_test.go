//go:build linux

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/testnet/ffmpeg"
)

// TestFFmpegTranscodesAClip runs a program nobody here wrote, as Debian built
// it, on a clip with picture and sound, and plays the result back.
func TestFFmpegTranscodesAClip(t *testing.T) {
	n := start(t)
	cache, err := filepath.Abs("../../bin/cache/ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	image, err := ffmpeg.Make(n.ctx, cache)
	if err != nil {
		t.Fatal(err)
	}
	n.clip(image)
	r := n.run("-v", "./in:/in:ro", "-o", "/out:./out", "--memory", "2GiB", "--cpus", "2", "oci-archive:"+image.Archive,
		"ffmpeg", "-hide_banner", "-nostdin", "-y", "-progress", "pipe:1", "-i", "/in/clip.avi",
		"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "/out/clip.mp4")
	if r.code != 0 {
		t.Fatalf("run exited with %d\n%s", r.code, r.stderr)
	}
	if !strings.Contains(r.stdout, "progress=end") || !strings.Contains(r.stderr, "Video: h264") {
		t.Errorf("ffmpeg's progress and report did not come back:\nstdout %s\nstderr %s", r.stdout, r.stderr)
	}
	n.plays(image, "clip.mp4")
	var jobs []struct{ Job string }
	if err := json.Unmarshal([]byte(n.rigmesh("ps", "--data", laptop, "--all", "--json").stdout), &jobs); err != nil || len(jobs) != 1 {
		t.Fatalf("ps: %v, %v", jobs, err)
	}
	if _, same := n.receipts(jobs[0].Job); !same {
		t.Errorf("the two sides hold different receipts")
	}
}

// clip makes five seconds of test pattern with a tone, in ./in of the lab.
func (n *network) clip(image ffmpeg.Image) {
	n.t.Helper()
	n.mkdir("in")
	cmd := image.Command(n.ctx, n.Path("in"), "ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
		"-f", "lavfi", "-i", "testsrc=duration=5:size=320x240:rate=25",
		"-f", "lavfi", "-i", "sine=frequency=440:duration=5",
		"-c:v", "mpeg4", "-c:a", "pcm_s16le", "/tmp/clip.avi")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("make the clip: %v: %s", err, out)
	}
}

// plays checks that a file in ./out of the lab has five seconds of picture and sound.
func (n *network) plays(image ffmpeg.Image, name string) {
	n.t.Helper()
	out, err := image.Command(n.ctx, n.Path("out"), "ffprobe", "-v", "error", "-of", "json",
		"-show_entries", "format=duration:stream=codec_name,nb_read_frames", "-count_frames", "/tmp/"+name).Output()
	if err != nil {
		n.t.Fatalf("ffprobe: %v: %s", err, out)
	}
	var probe struct {
		Streams []struct {
			Codec  string `json:"codec_name"`
			Frames string `json:"nb_read_frames"`
		}
		Format struct{ Duration string }
	}
	if err := json.Unmarshal(out, &probe); err != nil {
		n.t.Fatal(err)
	}
	codecs := map[string]string{}
	for _, s := range probe.Streams {
		codecs[s.Codec] = s.Frames
	}
	if codecs["h264"] != "125" || codecs["aac"] == "" || !strings.HasPrefix(probe.Format.Duration, "5.0") {
		n.t.Errorf("the result is %s", out)
	}
}
