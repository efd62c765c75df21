//go:build linux

package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// imageName is the name under which containerd keeps an image for one platform.
func imageName(i runtime.Image) string {
	return "rigmesh/" + i.Digest + "@" + platformOf(i)
}

func platformOf(i runtime.Image) string {
	if i.Platform == "" {
		return platforms.DefaultString()
	}
	return i.Platform
}

func matcherOf(i runtime.Image) (platforms.MatchComparer, error) {
	p, err := platforms.Parse(platformOf(i))
	if err != nil {
		return nil, fmt.Errorf("platform %q: %v: %w", i.Platform, err, runtime.ErrPlatform)
	}
	return platforms.Only(p), nil
}

// pulled is an image that Pull has finished for whoever it is for.
func pulled(ctx context.Context, c *client.Client, i runtime.Image) (client.Image, error) {
	img, err := present(ctx, c, i)
	if err == nil && !mayHave(img.Labels(), i.For) {
		return nil, notHere(i)
	}
	return img, err
}

// present is an image that is here, for whomever.
func present(ctx context.Context, c *client.Client, i runtime.Image) (client.Image, error) {
	matcher, err := matcherOf(i)
	if err != nil {
		return nil, err
	}
	img, err := c.ImageService().Get(ctx, imageName(i))
	if errdefs.IsNotFound(err) {
		return nil, notHere(i)
	}
	if err != nil {
		return nil, err
	}
	return client.NewImageWithPlatform(c, img, matcher), nil
}

func notHere(i runtime.Image) error {
	return fmt.Errorf("image %s is not here: %w", i.Digest, runtime.ErrImage)
}

func imageConfig(ctx context.Context, img client.Image) (ocispec.Image, error) {
	var config ocispec.Image
	desc, err := img.Config(ctx)
	if err != nil {
		return config, err
	}
	b, err := content.ReadBlob(ctx, img.ContentStore(), desc)
	if err != nil {
		return config, err
	}
	if err := json.Unmarshal(b, &config); err != nil {
		return config, fmt.Errorf("image config: %v: %w", err, runtime.ErrImage)
	}
	return config, nil
}

// jobOf merges what the image says with what the spec says, all but the user. As with
// docker, a spec's entrypoint discards the image's command.
func jobOf(spec runtime.Spec, config ocispec.ImageConfig) (job record.Job, workdir, user string, err error) {
	entrypoint, command := config.Entrypoint, config.Cmd
	if len(spec.Entrypoint) > 0 {
		entrypoint, command = spec.Entrypoint, nil
	}
	if len(spec.Command) > 0 {
		command = spec.Command
	}
	job.Args = slices.Concat(entrypoint, command)
	if len(job.Args) == 0 {
		return job, "", "", fmt.Errorf("neither image nor spec says what to run: %w", runtime.ErrImage)
	}
	job.Env = mergeEnv([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + spec.ID},
		withoutStrays(config.Env), spec.Devices.Env, spec.Env, libraries(config.Env, spec))
	workdir, user = config.WorkingDir, config.User
	if spec.Workdir != "" {
		workdir = spec.Workdir
	}
	if !strings.HasPrefix(workdir, "/") {
		workdir = "/" + workdir
	}
	if spec.User != "" {
		user = spec.User
	}
	return job, workdir, user, nil
}

// libraries is where the dynamic linker of a task with devices looks: where their driver's
// libraries are and then, since images with CUDA do not run without, where the spec or else the image
// says. The image's word counts here alone, and behind the driver's.
func libraries(image []string, spec runtime.Spec) []string {
	const name = "LD_LIBRARY_PATH"
	places := valueOf(spec.Devices.Env, name)
	if places == "" {
		return nil
	}
	more := valueOf(spec.Env, name)
	if more == "" {
		more = valueOf(image, name)
	}
	if more != "" {
		places += ":" + more
	}
	return []string{name + "=" + places}
}

// valueOf is the last value of a name in an environment.
func valueOf(env []string, name string) (value string) {
	for _, e := range env {
		if n, v, _ := strings.Cut(e, "="); n == name {
			value = v
		}
	}
	return value
}

// mergeEnv joins environments; the last value of a name wins and keeps its first place.
func mergeEnv(lists ...[]string) []string {
	var env []string
	at := make(map[string]int)
	for _, e := range slices.Concat(lists...) {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			env[i] = e
			continue
		}
		at[name] = len(env)
		env = append(env, e)
	}
	return env
}

// setUser resolves "name", "uid", "name:group" and so on against the image's own
// passwd and group files. Numbers need no look into the image.
func setUser(ctx context.Context, root, user string, job *record.Job) error {
	if user == "" || user == "root" {
		user = "0:0"
	}
	uid, gid, _ := strings.Cut(user, ":")
	u, uerr := strconv.ParseUint(uid, 10, 32)
	g, gerr := strconv.ParseUint(gid, 10, 32)
	job.UID, job.GID = uint32(u), uint32(g)
	if uerr != nil || gerr != nil {
		if err := plainUserFiles(root); err != nil {
			return fmt.Errorf("user %q: %w", user, err)
		}
		scratch := &oci.Spec{Root: &specs.Root{Path: root}, Linux: &specs.Linux{}} // or it takes the task for another system's
		for _, option := range []oci.SpecOpts{oci.WithUser(user), oci.WithAdditionalGIDs(uid)} {
			if err := option(ctx, nil, &containers.Container{}, scratch); err != nil {
				return fmt.Errorf("user %q: %v: %w", user, err, runtime.ErrImage)
			}
		}
		job.UID, job.GID, job.Groups = scratch.Process.User.UID, scratch.Process.User.GID, scratch.Process.User.AdditionalGids
	}
	for _, id := range append(job.Groups, job.UID, job.GID) {
		if id >= record.InitID {
			return fmt.Errorf("user %q: id %d is not below %d: %w", user, id, record.InitID, runtime.ErrImage)
		}
	}
	return nil
}
