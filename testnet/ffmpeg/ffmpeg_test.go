//go:build linux

package ffmpeg

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestImageMakesAndReadsAClip(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("running a program under another root needs root")
	}
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the image is made of Debian's packages, and %s is not here", program)
		}
	}
	image, err := Make(t.Context(), "../../bin/cache/ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	make := image.Command(t.Context(), dir, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=1:size=160x120:rate=10",
		"-f", "lavfi", "-i", "sine=duration=1", "-c:v", "libx264", "-c:a", "aac", "/tmp/clip.mp4")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	probe := image.Command(t.Context(), dir, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", "/tmp/clip.mp4")
	out, err := probe.Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	if got := strings.Fields(string(out)); strings.Join(got, " ") != "h264 aac" {
		t.Fatalf("streams are %q, want h264 and aac", got)
	}
}
